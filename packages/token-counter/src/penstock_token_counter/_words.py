"""What counters that share a pool tell each other through the store: each change in a word, and a turn's in an entry.

A word says how something stands since then, so it may be heard twice. Readers ignore kinds of words, and what follows
in a word, that they do not know; the store's keys carry the major version. Everything here is pure.
"""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import orjson

from penstock_token_client.accounting import Charge, Lesson, Order, Place, RateLimit, Terms, Turns, Usage

from ._records import lesson_fields, read_lesson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


_ORDER = len(Order._fields)


class Granted(NamedTuple):
    """That the caller in a place of the line was granted what it waited for.

    Attributes:
        ticket: The place's, which is gone.
        grant_id: The grant.
        home: The counter where the caller polls, which tells it.
        renewed: Whether an earlier answer may have brought it the grant already.
    """

    ticket: str
    grant_id: str
    home: str
    renewed: bool


class Reported(NamedTuple):
    """The first report of a request."""

    grant_id: str
    usage: Usage


class InForce(NamedTuple):
    """What the ledger goes by, worked out from what was learned.

    Attributes:
        terms: The terms.
        next_look: From when on they are worked out again.
    """

    terms: Terms
    next_look: float


Word: TypeAlias = "Charge | Place | Granted | Reported | InForce | Turns | Lesson"


class Entry(NamedTuple):
    """What one counter decided in one turn, in order.

    Attributes:
        at: When, in seconds of the store's clock.
        by: Which counter.
        words: What changed.
    """

    at: float
    by: str
    words: Sequence[Word]


def entry_bytes(entry: Entry) -> bytes:
    """Return an entry as it is kept."""
    words = [[_NAMES[type(word)], *_WRITERS[type(word)](word)] for word in entry.words]
    return orjson.dumps({"at": entry.at, "by": entry.by, "words": words})


def read_entry(data: bytes) -> Entry:
    """Read an entry."""
    entry = orjson.loads(data)
    words = [_READERS[kind](values) for kind, *values in entry["words"] if kind in _READERS]
    return Entry(entry["at"], entry["by"], words)


def word_bytes(word: Word) -> bytes:
    """Return one word as it is kept for those who come later, under a name that tells what it is."""
    return orjson.dumps(_WRITERS[type(word)](word))


def read_charge(data: bytes) -> Charge:
    """Read how a grant stands."""
    return _charge(orjson.loads(data))


def read_place(data: bytes) -> Place:
    """Read how a place stands."""
    return _place(orjson.loads(data))


def read_turns(data: bytes) -> Turns:
    """Read who is next."""
    return _turns(orjson.loads(data))


def read_in_force(data: bytes) -> InForce:
    """Read what the ledger goes by."""
    return _in_force(orjson.loads(data))


def read_learned(data: bytes) -> Lesson:
    """Read what was learned."""
    return _lesson(orjson.loads(data))


def beats_bytes(beats: Mapping[str, float]) -> bytes:
    """Return when each counter last decided something, as it is kept."""
    return orjson.dumps(dict(beats))


def read_beats(data: bytes) -> dict[str, float]:
    """Read when each counter last decided something."""
    beats: dict[str, float] = orjson.loads(data)
    return beats


def _charge(values: Sequence[Any]) -> Charge:
    """Read how a grant stands."""
    grant_id, order, at, state, used, exact, *_ = values
    return Charge(grant_id, Order(*order[:_ORDER]), at, state, used, exact)


def _place(values: Sequence[Any]) -> Place:
    """Read how a place stands."""
    ticket, order, since, absent_since, home, gone, *_ = values
    return Place(ticket, Order(*order[:_ORDER]), since, absent_since, home, gone)


def _granted(values: Sequence[Any]) -> Granted:
    """Read that somebody who waited was granted."""
    ticket, grant_id, home, renewed, *_ = values
    return Granted(ticket, grant_id, home, renewed)


def _reported(values: Sequence[Any]) -> Reported:
    """Read a report."""
    grant_id, (prompt_tokens, completion_tokens, status, *_), ratelimit, *_ = values
    headers = RateLimit(**_known(RateLimit, ratelimit))
    return Reported(grant_id, Usage(prompt_tokens, completion_tokens, status, headers))


def _turns(values: Sequence[Any]) -> Turns:
    """Read who is next."""
    app, next_start, virtual, clocks, (millisecond, count, *_), *_ = values
    return Turns(app, -math.inf if next_start is None else next_start, virtual, clocks, (millisecond, count))


def _in_force(values: Sequence[Any]) -> InForce:
    """Read what the ledger goes by."""
    terms, next_look, *_ = values
    return InForce(Terms(**_known(Terms, terms)), next_look)


def _lesson(values: Sequence[Any]) -> Lesson:
    """Read what was learned."""
    return read_lesson(values[0])


def _known(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a dataclass has no field for."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _write_in_force(word: InForce) -> list[Any]:
    """Write what the ledger goes by; a time that never was is left out, because JSON has no infinity."""
    terms = {name: value for name, value in asdict(word.terms).items() if value != -math.inf}
    return [terms, word.next_look]


def _write_ordered(word: Charge | Place) -> list[Any]:
    """Write how a grant or a place stands, its order as a list."""
    name, order, *rest = word
    return [name, list(order), *rest]


def _write_reported(word: Reported) -> list[Any]:
    """Write a report, with what its headers said."""
    *usage, ratelimit = word.usage
    return [word.grant_id, usage, {name: value for name, value in asdict(ratelimit).items() if value is not None}]


def _write_turns(word: Turns) -> list[Any]:
    """Write who is next; a start that may be at any time is null, because JSON has no infinity."""
    return [word.app, word.next_start if word.next_start > -math.inf else None, *word[2:]]


_WRITERS: dict[type[Any], Callable[[Any], list[Any]]] = {
    Charge: _write_ordered,
    Place: _write_ordered,
    Granted: list,
    InForce: _write_in_force,
    Reported: _write_reported,
    Turns: _write_turns,
    Lesson: lambda lesson: [lesson_fields(lesson)],
}
_NAMES = {kind: kind.__name__.lower() for kind in _WRITERS}
_READERS: dict[str, Callable[[Sequence[Any]], Word]] = {
    "charge": _charge,
    "place": _place,
    "granted": _granted,
    "inforce": _in_force,
    "reported": _reported,
    "turns": _turns,
    "lesson": _lesson,
}
