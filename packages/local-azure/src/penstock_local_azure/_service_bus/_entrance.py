"""The way into a queue or topic: repetitions are dropped here, and what is not due yet waits here."""

from collections.abc import Callable, Collection
from functools import partial
from itertools import count

from ._agenda import Agenda
from ._clock import Clock
from ._entries import Entry
from ._errors import MESSAGE_NOT_FOUND, AmqpError
from ._history import History
from ._sections import Message


class Entrance:
    """Numbers what comes in and lets it pass when it is due.

    Args:
        duplicate_detection: Seconds for which ids are remembered; None: no detection.
        admit: Takes a message under its sequence number.
    """

    def __init__(
        self, duplicate_detection: float | None, clock: Clock, agenda: Agenda, admit: Callable[[int, Message], None]
    ) -> None:
        self.enqueued = 0
        self.suppressed: list[str] = []
        self._history = History(duplicate_detection)
        self._clock = clock
        self._agenda = agenda
        self._admit = admit
        self._numbers = count(1)
        self._scheduled: dict[int, Entry] = {}

    @property
    def scheduled(self) -> Collection[Entry]:
        """What waits for its time."""
        return self._scheduled.values()

    def enqueue(self, message: Message) -> int:
        """Take a message in, now or into the schedule; return its sequence number.

        A duplicate gets one too and is dropped: the sender cannot tell (Service Bus documentation, "Duplicate
        detection").
        """
        number = next(self._numbers)
        now = self._clock.now()
        if not self._history.admit(message.message_id, now):
            self.suppressed.append(str(message.message_id))
            return number
        self.enqueued += 1
        due = now if message.scheduled_for is None else self._clock.instant(message.scheduled_for)
        if due > now:
            self._schedule(Entry(number, message, self._clock.timestamp(), due=due), due)
        else:
            self._admit(number, message)
        return number

    def pass_on(self, message: Message) -> None:
        """Let in what a topic hands on: there it was looked for duplicates, and waited."""
        self.enqueued += 1
        self._admit(next(self._numbers), message)

    def cancel(self, number: int) -> None:
        """Take a scheduled message out again.

        Raises:
            AmqpError: message-not-found, if there is none under this number (any more).
        """
        entry = self._scheduled.pop(number, None)
        if entry is None:
            raise AmqpError(MESSAGE_NOT_FOUND, f"no scheduled message has the sequence number {number}")
        self._agenda.cancel(entry.appointment)

    def _schedule(self, entry: Entry, due: float) -> None:
        self._scheduled[entry.sequence_number] = entry
        on_time = partial(self._on_time, entry)
        entry.appointment = self._agenda.add(due, on_time, rank=entry.sequence_number)

    def _on_time(self, entry: Entry) -> None:
        """Let a scheduled message pass, under a new number, as one that was enqueued just now."""
        del self._scheduled[entry.sequence_number]
        self._admit(next(self._numbers), entry.message)
