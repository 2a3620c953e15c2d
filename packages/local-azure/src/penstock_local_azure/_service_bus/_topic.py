"""A topic: what is sent to it is handed on, in copies, to its subscriptions."""

from collections.abc import Callable, Collection, Iterable

from ._agenda import Agenda
from ._clock import Clock
from ._declarations import Topic
from ._entrance import Entrance
from ._queue import QueueCore
from ._sections import Message


class TopicCore:
    """One topic; it holds nothing but what is scheduled.

    Args:
        declaration: Its properties.
        clock: Where time comes from.
        subscriptions: Where its messages go.
    """

    def __init__(self, declaration: Topic, clock: Clock, subscriptions: Collection[QueueCore]) -> None:
        self.path = declaration.name
        self.clock = clock
        self.changed: Callable[[], None] = lambda: None
        """Called when something may be due earlier than before."""
        self._subscriptions = subscriptions
        self._agenda = Agenda()
        self.entrance = Entrance(declaration.duplicate_detection, clock, self._agenda, self._hand_on)

    def enqueue(self, messages: Iterable[Message]) -> list[int]:
        """Hand messages on, or put them into the schedule; return their sequence numbers here."""
        self.advance()
        numbers = [self.entrance.enqueue(message) for message in messages]
        self.changed()
        return numbers

    def cancel(self, number: int) -> None:
        """Take a scheduled message out again.

        Raises:
            AmqpError: message-not-found, if there is none under this number (any more).
        """
        self.advance()
        self.entrance.cancel(number)

    def advance(self) -> None:
        """Apply everything that is due by now."""
        self._agenda.keep(self.clock.now())

    def next_due(self) -> float | None:
        """Return the instant at which `advance` may next have something to do."""
        return self._agenda.next_due()

    def _hand_on(self, _number: int, message: Message) -> None:
        for subscription in self._subscriptions:
            subscription.take_copy(message)
