"""The lines of a journal, as bytes: each carries its length and checksum, so that a torn one is never misread.

The first line says what the file is and which pools it covers. Each further line is one batch: the time, by both
clocks, how each grant that changed stands now, and what was learned if that changed. A batch is whole or it is not
there. Everything here is pure.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from penstock_token_client.accounting import Charge, Lesson, Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAJOR = 1
"""The version of the format; readers ignore fields they do not know and refuse other majors."""

_FORMAT = "penstock-token-journal"
_PREFIX = len(b"00000000 00000000 ")


class JournalError(Exception):
    """Raised for a journal that this counter cannot use; its text says what to do.

    Attributes:
        permanent: Trying again cannot help; somebody has to put it right.
        environment: Whether it is a fault of the surroundings that passes.
        retry_after: Seconds after which trying again may help, if known.
    """

    permanent: bool = True
    environment: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by two clocks, in seconds: the wall's, which may be set, and one that never goes back."""

    wall: float
    steady: float


@dataclass(frozen=True, slots=True)
class Entry:
    """How a grant of one pool stands."""

    pool: str
    charge: Charge


@dataclass(frozen=True, slots=True)
class Batch:
    """What became durable at once."""

    moment: Moment
    entries: tuple[Entry, ...]
    lessons: Mapping[str, Lesson] = field(default_factory=dict)


def header_line(spans: Mapping[str, float]) -> bytes:
    """Return the first line: the pools that the file covers, and for how many seconds each keeps a charge."""
    return _frame({"format": _FORMAT, "v": MAJOR, "pools": dict(spans)})


def batch_line(moment: Moment, entries: Iterable[Entry], lessons: Mapping[str, Lesson] | None = None) -> bytes:
    """Return the line of one batch; lessons come by pool."""
    fields: dict[str, Any] = {"wall": moment.wall, "steady": moment.steady}
    fields["charges"] = [_fields(entry) for entry in entries]
    if lessons:
        fields["lessons"] = {pool: lesson_fields(lesson) for pool, lesson in lessons.items()}
    return _frame(fields)


def read_header(line: bytes) -> dict[str, float]:
    """Return the pools that a file covers, and the span of each in seconds.

    Raises:
        JournalError: The line is no such header, or of a version that is not ours.
    """
    fields = _unframe(line)
    if fields is None or fields.get("format") != _FORMAT:
        raise JournalError("it is no journal of a token counter: move it away, or name another directory")
    if fields.get("v") != MAJOR:
        raise JournalError(f"it is of version {fields.get('v')}, and this token counter reads version {MAJOR}")
    spans: dict[str, float] = fields["pools"]
    return spans


def read_batch(line: bytes) -> Batch | None:
    """Return a batch, or None if its line is torn."""
    fields = _unframe(line)
    if fields is None:
        return None
    return Batch(
        Moment(fields["wall"], fields["steady"]),
        tuple(_entry(charge) for charge in fields["charges"]),
        {pool: read_lesson(lesson) for pool, lesson in fields.get("lessons", {}).items()},
    )


def _frame(fields: Mapping[str, Any]) -> bytes:
    """Put the length and the checksum before a line of JSON, which holds no line end itself."""
    body = json.dumps(fields, separators=(",", ":")).encode()
    return b"%08x %08x %b\n" % (len(body), zlib.crc32(body), body)


def _unframe(line: bytes) -> dict[str, Any] | None:
    """Return what a line says, or None if it is not what was written."""
    body = line[_PREFIX:]
    if line[:_PREFIX] != b"%08x %08x " % (len(body), zlib.crc32(body)):
        return None
    fields: dict[str, Any] = json.loads(body)
    return fields


def _fields(entry: Entry) -> dict[str, Any]:
    """Say how a grant stands."""
    charge, order = entry.charge, entry.charge.order
    return {
        "pool": entry.pool,
        "id": charge.id,
        "app": order.app,
        "key": order.key,
        "asked": [order.tokens, order.max_tokens, order.requests],
        "used": charge.used,
        "exact": charge.exact,
        "state": charge.state,
        "at": charge.at,
    }


def _entry(fields: Mapping[str, Any]) -> Entry:
    """Read how a grant stands."""
    tokens, max_tokens, requests = fields["asked"]
    charge = Charge(
        id=fields["id"],
        order=Order(app=fields["app"], tokens=tokens, max_tokens=max_tokens, requests=requests, key=fields["key"]),
        at=fields["at"],
        state=fields["state"],
        used=fields["used"],
        exact=fields["exact"],
    )
    return Entry(fields["pool"], charge)


def lesson_fields(lesson: Lesson) -> dict[str, Any]:
    """Say what was learned; a time that never was is left out, because JSON has no infinity."""
    return {name: value for name, value in asdict(lesson).items() if value != -math.inf}


def read_lesson(fields: Mapping[str, Any]) -> Lesson:
    """Read what was learned."""
    return Lesson(
        bias=fields["bias"],
        unaccounted=fields["unaccounted"],
        tpm=fields["tpm"],
        tpm_until=fields.get("tpm_until", -math.inf),
        paused_until=fields.get("paused_until", -math.inf),
        distances=tuple((amount, since) for amount, since in fields.get("distances", ())),
        doubted_until=fields.get("doubted_until", -math.inf),
        gone_until=fields.get("gone_until", -math.inf),
    )
