"""How the pools stood in the last minutes, sample by sample, so that a page opened now shows what went before."""

from __future__ import annotations

import json
import secrets
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from penstock_token_client.protocol import VERSION

from ._standing import brief, limits_in_force

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("tokens", "tpm", "requests", "rpm", "waiting", "grants", "http_429", "unaccounted", "paused")
"""What a sample says of a pool: use and limits in force, who waits, what happened since the sample before."""

_LONGEST_SEQUENCE = 15
"""Digits; Python refuses to read numbers of thousands."""


class History:
    """Keeps the newest samples, and says what a reader who has seen some of them lacks.

    Args:
        length: How many samples are kept.
        name: Text that no other counter uses; None makes one up.
    """

    def __init__(self, length: int = 600, *, name: str | None = None) -> None:
        self.name = secrets.token_hex(4) if name is None else name
        self.sequence = 0
        self._samples: deque[str] = deque(maxlen=length)
        self._statuses: list[Mapping[str, Any]] = []
        self._events: dict[int, bytes] = {}

    def add(self, at: float, statuses: Sequence[Mapping[str, Any]]) -> None:
        """Keep how each pool stands at a time, and forget the oldest sample if there are too many."""
        before = {status["pool"]: status for status in self._statuses}
        pools = {status["pool"]: _numbers(status, before.get(status["pool"], {})) for status in statuses}
        self._samples.append(_json({"at": round(at, 3), "pools": pools}))
        self._statuses = list(statuses)
        self._events.clear()
        self.sequence += 1

    def seen(self, event_id: str) -> int:
        """Return which sample an event's id names; 0, which is before the first, if it is not one of ours."""
        name, _, sequence = event_id.rpartition("-")
        if name != self.name or not sequence.isdecimal() or len(sequence) > _LONGEST_SEQUENCE:
            return 0
        return int(sequence) if int(sequence) <= self.sequence else 0

    def event(self, sequence: int) -> bytes:
        """Return the server-sent event for a reader who has seen a sample: how the pools stand, and what is newer.

        However far a reader is behind, one event brings it up to date, so nothing is buffered for it.
        """
        if sequence not in self._events:
            self._events[sequence] = f"id: {self.name}-{self.sequence}\ndata: {self._news(sequence)}\n\n".encode()
        return self._events[sequence]

    def _news(self, sequence: int) -> str:
        """Say as JSON how the pools stand, and what is newer than a sample; samples are encoded when they are taken."""
        missing = min(self.sequence - sequence, len(self._samples))
        samples = ",".join(islice(self._samples, len(self._samples) - missing, None))
        pools = _json([brief(status) for status in self._statuses])
        facts = _json({"v": VERSION, "counter": self.name, "columns": COLUMNS})
        return f'{facts[:-1]},"samples":[{samples}],"pools":{pools}}}'


def _numbers(status: Mapping[str, Any], before: Mapping[str, Any]) -> list[float]:
    """Pick what is drawn of a pool, in the order of `COLUMNS`."""
    tpm, rpm = limits_in_force(status)
    return [
        status["used_tokens"] + status["locked_tokens"],
        tpm,
        max(0, rpm - status["available_requests"]),
        rpm,
        status["waiting"],
        status["granted"] - before.get("granted", status["granted"]),
        status["http_429"] - before.get("http_429", status["http_429"]),
        status["unaccounted_tokens"],
        status["paused_seconds"],
    ]


def _json(value: object) -> str:
    """Write JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))
