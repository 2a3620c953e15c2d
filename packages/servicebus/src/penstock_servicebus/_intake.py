"""How much may be taken in: until told to stop, until so many messages, until the queue has been empty for so long."""

import math
from collections.abc import Callable


class Intake:
    """The decisions about receiving that all receivers of a handler share.

    Args:
        now: Monotonic clock.
        until_empty: Seconds of an empty queue after which the work is done; None: never.
        max_messages: Messages after which the work is done; None: never.
    """

    def __init__(self, now: Callable[[], float], until_empty: float | None, max_messages: int | None) -> None:
        self._now = now
        self._until_empty = math.inf if until_empty is None else until_empty
        self._left = math.inf if max_messages is None else max_messages
        self.asked_for = 0
        """Messages set apart for calls under way."""
        self._quiet_since: float | None = None
        self._busy_at = now()
        self._listeners: list[Callable[[], None]] = []
        self.stopped = False

    def on_stop(self, listener: Callable[[], None]) -> None:
        """Have `listener` called when the intake stops."""
        self._listeners.append(listener)

    def stop(self) -> None:
        """Take no more, for good."""
        if not self.stopped:
            self.stopped = True
            for listener in self._listeners:
                listener()

    @property
    def exhausted(self) -> bool:
        """Whether no more messages may be received than already were, or are being asked for."""
        return self._left - self.asked_for == 0

    def room(self, wanted: int) -> int:
        """How many of the wanted messages may be received now; they are set apart until `took` says how many came."""
        if self.stopped:
            return 0
        granted = int(min(wanted, self._left - self.asked_for))
        self.asked_for += granted
        return granted

    def took(self, count: int, *, of: int) -> None:
        """`count` of the messages set apart by `room` came."""
        self.asked_for -= of
        self._left -= count
        if count:
            self.busy()

    def heard_nothing(self, seconds: float) -> None:
        """The queue was listened to for so many seconds, and nothing came."""
        if self._quiet_since is None:
            self._quiet_since = max(self._now() - seconds, self._busy_at)

    def busy(self) -> None:
        """Something is held, or the queue could not be listened to: it cannot be called empty."""
        self._quiet_since = None
        self._busy_at = self._now()

    @property
    def quiet_left(self) -> float:
        """Seconds until an empty queue counts as done."""
        if self._quiet_since is None:
            return self._until_empty
        return self._quiet_since + self._until_empty - self._now()

    def stop_if_done(self, held: int) -> None:
        """Stop if a limit is reached and nothing is held any more."""
        if held == 0 and (self._left == 0 or self.quiet_left <= 0):
            self.stop()
