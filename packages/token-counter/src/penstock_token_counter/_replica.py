"""One pool as this counter knows it, which follows what the others decide and notes what is decided here.

Between two turns it only follows. In a turn, when it knows everything, whatever is done to its pool is noted, and
`changes` says it in the store's words. What the store did not take never happened: the replica is loaded anew.
Everything here is synchronous and is told the time, in seconds of the store's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock_token_client.accounting import Charge, Lesson, Place, Pool, Turns

from ._store_facts import Changes
from ._words import (
    Entry,
    Granted,
    InForce,
    Reported,
    beats_bytes,
    entry_bytes,
    read_beats,
    read_charge,
    read_entry,
    read_in_force,
    read_learned,
    read_place,
    read_turns,
    word_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock_token_client import Limits, Sharing
    from penstock_token_client.accounting import Grant, Usage

    from ._store_facts import Kept, Taken
    from ._words import Word

_FORGOTTEN = 60.0
"""Seconds after which a silent counter is nobody's home any more."""


class Replica:
    """Follows one pool of a store.

    Args:
        limits: The pool's limits.
        counter: This counter's name.
        instance: What ids begin with if this counter is the first to know the pool.
        sharing: How those who wait share the pool; None: all apps alike.

    Attributes:
        pool: The pool.
        version: The version that it is of; 0 before there is any.
        beats: When each counter last decided something.
        homes: The tickets of those who are there and wait, by the counter where they poll.
        instances: What ids of the pool's grants begin with, or began with before the store lost the pool.
    """

    def __init__(self, limits: Limits, *, counter: str, instance: str, sharing: Sharing | None = None) -> None:
        self._limits = limits
        self._counter = counter
        self._sharing = sharing
        self._notes: list[Word] | None = None
        self.instances: set[str] = set()
        self.open(instance, 0.0)

    def open(self, instance: str, now: float) -> None:
        """Begin with an empty pool."""
        self.instances.add(instance)
        self._opened = now
        self.version = 0
        self.beats: dict[str, float] = {}
        self.homes: dict[str, set[str]] = {}
        self._home: dict[str, str] = {}
        self.pool = Pool(
            self._limits,
            instance=instance,
            now=now,
            sharing=self._sharing,
            on_change=self._note,
            on_place=self._note_place,
        )
        self._turns, self._lesson = self.pool.queue.turns(), self.pool.lesson()

    def load(self, kept: Kept, now: float) -> None:
        """Become what a store keeps."""
        self.open(kept.instance, kept.opened)
        charges, places = [], []
        for name, value in kept.fields.items():
            if name.startswith("charge:"):
                charges.append(read_charge(value))
            elif name.startswith("place:"):
                places.append(read_place(value))
        lesson = read_learned(kept.fields["lesson"]) if "lesson" in kept.fields else None
        charges.sort(key=lambda charge: (charge.at, _number(charge)))  # a key names the last of its grants
        self.pool.restore(charges, lesson, now)
        gone_until = self.pool.ledger.gone_until
        if "inforce" in kept.fields:
            self._go_by(read_in_force(kept.fields["inforce"]), now)
        self.pool.ledger.gone_until = gone_until  # the window grew when it grew, and not now
        for place in places:
            self.pool.queue.follow_place(place)
        if "turns" in kept.fields:
            self.pool.queue.follow(read_turns(kept.fields["turns"]))
        if "beats" in kept.fields:
            self.beats = read_beats(kept.fields["beats"])
        self.pool.ledger.granted = kept.granted
        self.version = kept.version or 0
        self._turns, self._lesson = self.pool.queue.turns(), self.pool.lesson()

    def follow(self, entries: Iterable[bytes]) -> list[Granted | Place]:
        """Take over what others decided; return what became of those who wait, in order."""
        told: list[Granted | Place] = []
        for data in entries:
            entry = read_entry(data)
            self.beats[entry.by] = entry.at
            for word in entry.words:
                self._hear(word, entry.at)
                if isinstance(word, Granted | Place):
                    told.append(word)
            self.version += 1
        return told

    def begin(self) -> None:
        """Note from now on what is decided."""
        self._notes = []
        self._in_force = self._terms()

    def report(self, grant_id: str, usage: Usage, now: float) -> bool:
        """Take the report of a request; tell whether its grant is known."""
        grant = self.pool.ledger.named(grant_id, now)
        if grant is not None and grant.state == "open" and self.pool.settle(grant_id, usage, now):
            self._say(Reported(grant_id, usage))
        return grant is not None

    def grants(self, now: float) -> list[tuple[Granted, Grant]]:
        """Grant to those who wait, wherever they poll, for as long as somebody fits."""
        given = []
        for waiter, grant in self.pool.grants(now):
            word = Granted(waiter.ticket, grant.id, waiter.home, grant.renewed)
            self._say(word)
            given.append((word, grant))
        return given

    def take_back(self, given: Grant, ticket: str | None, now: float) -> None:
        """Release a grant that its caller never got, and give it its place again if it had one; it is absent.

        Not if another answer, maybe another counter's, has renewed it since.
        """
        grant = self.pool.ledger.named(given.id, now)
        if grant is None or grant.state != "open" or grant.at != given.at:
            return
        if ticket is not None:
            place = Place(ticket, grant.order, now, absent_since=now, home=self._counter)
            self.pool.queue.follow_place(place)
        self.pool.release(grant.id, now)

    def dismiss(self, silent_since: float, now: float) -> None:
        """Let those be absent whose counter has said nothing for too long."""
        for home in [home for home in self.homes if self.beats.get(home, 0.0) < silent_since]:
            for ticket in sorted(self.homes[home]):
                waiter = self.pool.queue.place(ticket)
                if waiter is not None:
                    self.pool.queue.step_out(waiter, now)

    def changes(self, taken: Taken, *, beat: bool) -> Changes | None:
        """Return what was decided since `begin`; None if there is nothing to say, not even that this counter lives."""
        now = taken.now
        words, self._notes = self._notes or [], None
        turns, lesson = self.pool.queue.turns(), self.pool.lesson()
        if (in_force := self._terms()) != self._in_force:
            words.append(in_force)
        if turns != self._turns:
            words.append(turns)
        if lesson != self._lesson:
            words.append(lesson)
        self._turns, self._lesson = turns, lesson
        if not words and not beat:
            return None
        fields, dropped = self._fields(words, now)
        return Changes(
            version=self.version,
            server=taken.server,
            kept_by=taken.kept_by,
            instance=self.pool.instance,
            opened=self._opened,
            granted=self.pool.ledger.granted,
            at=now,
            entry=entry_bytes(Entry(now, self._counter, words)),
            fields=fields,
            dropped=dropped,
            keep=2 * self.pool.ledger.terms.span,
        )

    def _fields(self, words: Sequence[Word], now: float) -> tuple[dict[str, tuple[bytes, float | None]], list[str]]:
        """Return how what changed stands now, and what is no more."""
        self.beats[self._counter] = now
        self.beats = {home: at for home, at in self.beats.items() if at > now - _FORGOTTEN}
        fields: dict[str, tuple[bytes, float | None]] = {"beats": (beats_bytes(self.beats), None)}
        dropped = set()
        for word in words:
            match word:
                case Charge():
                    fields[f"charge:{word.id}"] = word_bytes(word), word.at
                case Place(gone=True):
                    dropped.add(f"place:{word.ticket}")
                case Place():
                    dropped.discard(f"place:{word.ticket}")
                    fields[f"place:{word.ticket}"] = word_bytes(word), None
                case InForce():
                    fields["inforce"] = word_bytes(word), None
                case Turns():
                    fields["turns"] = word_bytes(word), None
                case Lesson():
                    fields["lesson"] = word_bytes(word), None
        return {name: value for name, value in fields.items() if name not in dropped}, sorted(dropped)

    def _hear(self, word: Word, now: float) -> None:
        """Take over one word of another counter."""
        match word:
            case Charge():
                self.pool.follow(word, now)
                self.pool.ledger.granted = max(self.pool.ledger.granted, _number(word))
            case Place():
                self.pool.queue.follow_place(word)
            case Reported():
                self.pool.learn(word.grant_id, word.usage, now)
            case InForce():
                self._go_by(word, now)
            case Turns():
                self.pool.queue.follow(word)
                self._turns = word

    def _terms(self) -> InForce:
        """Return what is gone by; a refusal changes it at once, perhaps without another time to look."""
        return InForce(self.pool.ledger.terms, self.pool.loop.next_look)

    def _go_by(self, word: InForce, now: float) -> None:
        """Go by the terms that another counter worked out, until it is time to do so again."""
        self.pool.ledger.adjust(word.terms, now)
        self.pool.loop.next_look = word.next_look

    def _note(self, charge: Charge) -> None:
        """Note how a grant stands."""
        self._say(charge)

    def _note_place(self, place: Place) -> None:
        """Note how a place stands, and where its caller is."""
        before = self._home.pop(place.ticket, None)
        if before is not None:
            self.homes[before].discard(place.ticket)
            if not self.homes[before]:
                del self.homes[before]
        if not place.gone and place.absent_since is None:
            self._home[place.ticket] = place.home
            self.homes.setdefault(place.home, set()).add(place.ticket)
        self._say(place)

    def _say(self, word: Word) -> None:
        """Note a word, in a turn."""
        if self._notes is not None:
            self._notes.append(word)


def _number(charge: Charge) -> int:
    """Return how many grants there were when a charge's was given."""
    return int(charge.id.rpartition("-")[2])
