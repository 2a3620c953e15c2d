"""The wire between token clients and a token counter: JSON over HTTP, version 1.

Public and additive: a newer side may add fields, and readers ignore those they do not know. What a counter reads, it
checks (`parse` raises `ProtocolError` naming the field); what a client reads, it takes as it comes (`read`), because a
field that is missing there has a meaning. The messages are not frozen, because that would make them three times as slow
to make, and a counter makes two for every call.

| call | message | answer |
|---|---|---|
| ``POST /lock`` | `LockRequest` | `LockAnswer` |
| ``POST /report`` | `ReportRequest` | `EndAnswer` |
| ``POST /release`` | `ReleaseRequest` | `EndAnswer` |
| ``GET /status`` | | an object |

Every path also exists below ``/pools/<pool>``; without it the pool is `DEFAULT_POOL`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

from ._arguments import MAX_COUNT
from ._fields import MAX_TEXT, Fields, ProtocolError
from ._ids import DEFAULT_POOL, grant_id, pool_path, request_ids, wire_id
from ._ratelimit import SILENCE, RateLimit
from ._usage import Usage

if TYPE_CHECKING:
    from ._usage import CallStatus

__all__ = [
    "DEFAULT_POOL",
    "MAX_COUNT",
    "MAX_TEXT",
    "MAX_WAIT",
    "STATUSES",
    "TICKET_HEADER",
    "VERSION",
    "EndAnswer",
    "LockAnswer",
    "LockRequest",
    "ProtocolError",
    "RateLimit",
    "ReleaseRequest",
    "ReportRequest",
    "grant_id",
    "pool_path",
    "request_ids",
    "wire_id",
]

VERSION = 1
MAX_WAIT = 60.0
"""The longest poll, in seconds."""
TICKET_HEADER = "Penstock-Ticket"
"""The header that names the place of a caller who waits. It comes before the body, so that a connection which breaks
meanwhile loses no place, not even if the counter ended with it."""

STATUSES: tuple[CallStatus, ...] = ("ok", "429", "error", "truncated")
"""How a request can have ended."""

_TOLD = ("expires_at", "suggested_max_tokens", "deployment", "code", "message", "ticket", "position")


@dataclass(kw_only=True, slots=True)
class LockRequest:
    """Ask for quota.

    Attributes:
        app_id: Who asks.
        token_count: The whole estimate.
        max_tokens: The part of it that gets no headroom.
        requests: How many requests will be sent.
        wait_seconds: How long the answer may be held back until there is quota, up to `MAX_WAIT`.
        idempotency_key: Names this wish; repeated after a lost answer, it brings the same grant.
        ticket: The place in the line that an earlier answer named.
    """

    app_id: str
    token_count: int
    max_tokens: int = 0
    requests: int = 1
    wait_seconds: float = 0.0
    idempotency_key: str | None = None
    ticket: str | None = None

    @classmethod
    def parse(cls, data: object) -> Self:
        """Read and check a message."""
        fields = Fields(data, VERSION)
        request = cls(
            app_id=fields.text("app_id"),
            token_count=fields.count("token_count"),
            max_tokens=fields.count("max_tokens", 0),
            requests=fields.count("requests", 1),
            wait_seconds=min(fields.seconds("wait_seconds", 0.0), MAX_WAIT),
            idempotency_key=fields.optional_text("idempotency_key"),
            ticket=fields.optional_text("ticket"),
        )
        if request.max_tokens > request.token_count:
            raise ProtocolError("max_tokens", "max_tokens must not exceed token_count, of which it is a part")
        if request.requests < 1:
            raise ProtocolError("requests", "requests must be at least 1")
        return request

    def to_json(self) -> dict[str, Any]:
        """Return the message, without what says nothing."""
        message = {name: getattr(self, name) for name in ("app_id", "token_count", "idempotency_key", "ticket")}
        message |= {"max_tokens": self.max_tokens or None, "wait_seconds": self.wait_seconds or None}
        message["requests"] = None if self.requests == 1 else self.requests
        return _versioned(message)


@dataclass(kw_only=True, slots=True)
class LockAnswer:
    """What a counter says to a `LockRequest`.

    Attributes:
        allowed: Whether the quota is granted.
        request_id: What to report or release.
        expires_at: When the charge ages out, in seconds since the epoch.
        suggested_max_tokens: A lower ``max_tokens`` that is usually enough.
        deployment: The deployment that the quota is for, where the counter was told its name.
        code: Why not: ``limited``, ``queue_full``, ``exceeds_quota``, ``paused`` or ``retry``.
        message: Why not, in words.
        retry_after: Seconds after which it fits if nobody else asks.
        ticket: Keeps the place in the line for the next poll.
        position: How many wait before.
    """

    allowed: bool
    request_id: str | None = None
    expires_at: float | None = None
    suggested_max_tokens: int | None = None
    deployment: str | None = None
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    ticket: str | None = None
    position: int | None = None

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Take an answer as it comes; what is missing or of another kind is None, and not allowed."""
        milliseconds = _number(data.get("retry_after_ms"))
        suggested = _number(data.get("suggested_max_tokens"))
        return cls(
            allowed=data.get("allowed") is True,
            request_id=_text(data.get("request_id")),
            expires_at=_number(data.get("expires_at")),
            suggested_max_tokens=None if suggested is None else int(suggested),
            deployment=_text(data.get("deployment")),
            code=_text(data.get("code")),
            message=_text(data.get("message")),
            retry_after=None if milliseconds is None else milliseconds / 1000,
            ticket=_text(data.get("ticket")),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the answer, without what says nothing."""
        answer: dict[str, Any] = {"v": VERSION, "allowed": self.allowed}
        answer |= {name: value for name in _TOLD if (value := getattr(self, name)) is not None}
        if self.request_id is not None:
            answer |= request_ids(self.request_id)
        if self.retry_after is not None:
            answer["retry_after_ms"] = math.ceil(self.retry_after * 1000)
        return answer


@dataclass(kw_only=True, slots=True)
class ReportRequest:
    """Say what a granted request used; ``ratelimit`` holds what the response's headers said about the limits."""

    app_id: str
    request_id: str
    prompt_tokens: int
    completion_tokens: int
    status: CallStatus = "ok"
    ratelimit: RateLimit = SILENCE

    @classmethod
    def parse(cls, data: object) -> Self:
        """Read and check a message."""
        fields = Fields(data, VERSION)
        fields.optional_text("rate_request_id")
        return cls(
            app_id=fields.text("app_id"),
            request_id=fields.text("request_id"),
            prompt_tokens=fields.count("prompt_tokens"),
            completion_tokens=fields.count("completion_tokens"),
            status=cast("CallStatus", fields.choice("status", STATUSES)),
            ratelimit=RateLimit.from_json(fields.object("ratelimit")),
        )

    def usage(self) -> Usage:
        """Return what it says of the call."""
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            status=self.status,
            ratelimit=self.ratelimit,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the message."""
        message: dict[str, Any] = {"app_id": self.app_id, **request_ids(self.request_id)}
        message |= {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        return _versioned({**message, "status": self.status, "ratelimit": self.ratelimit.to_json() or None})


@dataclass(kw_only=True, slots=True)
class ReleaseRequest:
    """Give back quota for a request that was never sent, by its id, or by the key of a wish nobody answered."""

    app_id: str
    request_id: str | None = None
    idempotency_key: str | None = None

    @classmethod
    def parse(cls, data: object) -> Self:
        """Read and check a message."""
        fields = Fields(data, VERSION)
        fields.optional_text("rate_request_id")
        key = fields.optional_text("idempotency_key")
        request_id = fields.optional_text("request_id") if key else fields.text("request_id")
        return cls(app_id=fields.text("app_id"), request_id=request_id, idempotency_key=key)

    def to_json(self) -> dict[str, Any]:
        """Return the message."""
        ids = request_ids(self.request_id) if self.request_id is not None else {}
        return _versioned({"app_id": self.app_id, **ids, "idempotency_key": self.idempotency_key})


@dataclass(kw_only=True, slots=True)
class EndAnswer:
    """What a counter says to a report or a release: taken, and whether the grant is still in the window."""

    success: bool
    known: bool

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Take an answer as it comes; a counter that does not say ``known`` knows."""
        return cls(success=data.get("success") is not False, known=data.get("known") is not False)

    def to_json(self) -> dict[str, Any]:
        """Return the answer."""
        return {"v": VERSION, "success": self.success, "known": self.known}


def _versioned(message: dict[str, Any]) -> dict[str, Any]:
    """Add the version, and leave out what is None."""
    return {"v": VERSION, **{name: value for name, value in message.items() if value is not None}}


def _text(value: object) -> str | None:
    """Return a text that says something, or None."""
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    """Return a number that can be a duration or an amount, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_COUNT:
        return None
    return value
