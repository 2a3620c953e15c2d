"""Who is worked on, who is ready to be, and how many more may come."""

import math
from collections import deque
from collections.abc import Callable

from penstock_servicebus._held import Held

_SHORT_WORK = 1.0  # s; what works longer keeps no message waiting here: another worker may have a free slot for it
_NEW_SHARE = 0.1  # how much the last message changes what is usual


class Slots:
    """The slots of one owner.

    Short work is given a full set of messages to go on with, so that it need not wait for the next to be received.

    Args:
        total: Messages worked on at once.
        ahead: Messages kept ready beyond those, however long the work takes.
        now: Monotonic clock.
    """

    def __init__(self, total: int, ahead: int, now: Callable[[], float]) -> None:
        self._total = total
        self._ahead = ahead
        self._now = now
        self._ready: deque[Held] = deque()
        self._working: dict[int, float] = {}
        self._usual_time = math.inf

    def room(self, undecided: int) -> int:
        """How many more messages are wanted, when so many are held whose fate is not decided."""
        ahead = max(self._ahead, self._total) if self._usual_time < _SHORT_WORK else self._ahead
        return max(self._total + ahead - undecided, 0)

    def add(self, held: Held) -> None:
        """A message is ready to be worked on."""
        self._ready.append(held)

    def next(self) -> Held | None:
        """The message to begin with now; None if there is none, or no slot."""
        if not self._ready or len(self._working) >= self._total:
            return None
        held = self._ready.popleft()
        self._working[id(held)] = self._now()
        return held

    def worked(self, held: Held) -> None:
        """The work on a message is over, or was given up; its slot is free. Saying so twice does no harm."""
        began = self._working.pop(id(held), None)
        if began is None:
            return
        seconds = self._now() - began
        known = seconds if self._usual_time == math.inf else self._usual_time
        self._usual_time = known + _NEW_SHARE * (seconds - known)

    def clear(self) -> list[Held]:
        """Let go of all that is ready but not begun."""
        ready = list(self._ready)
        self._ready.clear()
        return ready
