"""The messages and answers of the wire as JSON Schemas; a test compares them with the wire's own types."""

from __future__ import annotations

from typing import Any

from penstock_token_client.protocol import MAX_COUNT, MAX_TEXT, MAX_WAIT, STATUSES, VERSION

Schema = dict[str, Any]


def _object(required: tuple[str, ...], text: str, **fields: Schema) -> Schema:
    """Describe an object of this version; readers ignore fields that they do not know."""
    version = {"const": VERSION, "description": "The version of the wire."}
    return {"type": "object", "description": text, "required": list(required), "properties": {"v": version, **fields}}


def _text(text: str, **more: Any) -> Schema:  # noqa: ANN401 - whatever JSON Schema knows
    """Describe a text that is not blank."""
    return {"type": "string", "description": text, "minLength": 1, "maxLength": MAX_TEXT, "pattern": r"\S", **more}


def _count(text: str, least: int = 0) -> Schema:
    """Describe a whole number."""
    return {"type": "integer", "description": text, "minimum": least, "maximum": MAX_COUNT}


def _number(text: str, most: float | None = None) -> Schema:
    """Describe a number of at least 0."""
    return {"type": "number", "description": text, "minimum": 0} | ({} if most is None else {"maximum": most})


def _or_null(schema: Schema) -> Schema:
    """Describe a field that may be absent, which `null` says too."""
    return {**schema, "type": [schema["type"], "null"]}


def _flag(text: str) -> Schema:
    """Describe a yes or no."""
    return {"type": "boolean", "description": text}


_APP = _text("Who asks; printable characters only.", examples=["feedback"])
_ID = _text("What a lock answered.", examples=["token_1f2e3d4c-7:rate_1f2e3d4c-7"])
_RATE_ID = _or_null(_text("The part of request_id behind its colon."))
_KEY = _or_null(_text("Names one wish: repeated after a lost answer, it brings the same grant."))
_CODES = {
    "limited": "wait",
    "queue_full": "so many callers of the app wait that there is no place",
    "exceeds_quota": "never",
    "paused": "the pool pauses, or the journal or the store cannot be used: wait",
    "retry": "ask again: the counter stops, or a later poll took the place",
}

SCHEMAS: dict[str, Schema] = {
    "LockRequest": _object(
        ("app_id", "token_count"),
        "A wish for quota.",
        app_id=_APP,
        token_count=_count("The whole estimate: prompt and max_tokens."),
        max_tokens=_or_null(_count("The part of token_count that gets no headroom; at most token_count.")),
        requests=_or_null(_count("How many requests will be sent.", 1)),
        wait_seconds=_or_null(
            _number(
                f"How long the answer may be held back until there is quota; more than {MAX_WAIT:.0f} means that.",
                MAX_COUNT,
            )
        ),
        idempotency_key=_KEY,
        ticket=_or_null(_text("The place in the line that an earlier answer named.")),
    ),
    "LockAnswer": _object(
        ("v", "allowed"),
        "A grant, or why there is none.",
        allowed=_flag("Whether the quota is granted."),
        request_id=_text("What to report or release."),
        rate_request_id=_text("The part of request_id behind its colon."),
        expires_at=_number("When the charge ages out, in seconds since the epoch."),
        suggested_max_tokens=_count("A lower max_tokens that is usually enough."),
        deployment={"type": "string", "description": "The deployment that the quota is for."},
        code={"enum": list(_CODES), "description": "; ".join(f"{code}: {means}" for code, means in _CODES.items())},
        message={"type": "string", "description": "Why not, in words."},
        retry_after_ms=_count("Milliseconds after which it fits if nobody else asks."),
        ticket=_text("Keeps the place in the line for the next poll."),
        position=_count("How many callers of the app wait before."),
    ),
    "ReportRequest": _object(
        ("app_id", "request_id", "prompt_tokens", "completion_tokens"),
        "What a granted request used.",
        app_id=_APP,
        request_id=_ID,
        rate_request_id=_RATE_ID,
        prompt_tokens=_count("Tokens of the prompt, as billed."),
        completion_tokens=_count("Tokens of the completion, as billed."),
        status={"enum": [*STATUSES, None], "description": "How the request ended; absent: ok."},
        ratelimit={"type": ["object", "null"], "description": "What the response's headers said about the limits."},
    ),
    "ReleaseRequest": {
        **_object(
            ("app_id",),
            "The end of a grant, or of a wish, whose request was never sent.",
            app_id=_APP,
            request_id=_or_null(_ID),
            rate_request_id=_RATE_ID,
            idempotency_key=_KEY,
        ),
        "anyOf": [
            {"required": ["request_id"], "properties": {"request_id": {"type": "string"}}},
            {"required": ["idempotency_key"], "properties": {"idempotency_key": {"type": "string"}}},
        ],
    },
    "EndAnswer": _object(
        ("v", "success", "known"),
        "What became of a report or a release.",
        success=_flag("Whether it was taken."),
        known=_flag("Whether the grant is in the window and the app's own."),
    ),
    "Status": _object(
        ("v", "pool", "available_tokens", "used_tokens", "locked_tokens", "available_requests", "reset_time_seconds"),
        "How a pool stands; further fields are described in the README.",
        pool={"type": "string", "description": "The pool's name."},
        available_tokens=_count("Tokens of the window that are free."),
        used_tokens=_count("Tokens charged in the window whose use was reported."),
        locked_tokens=_count("Tokens charged in the window whose use was not reported yet."),
        available_requests=_count("Requests of the window that are free."),
        reset_time_seconds=_number("Seconds until the oldest charge leaves the window."),
    ),
    "Statuses": _object(
        ("v", "pools"),
        "How every pool stands.",
        pools={
            "type": "array",
            "description": "What /status says, of each.",
            "items": {"type": "object", "required": ["pool"]},
        },
    ),
    "Alive": _object(
        ("v", "alive"), "Whether the process is alive.", alive=_flag("Otherwise it must be started anew.")
    ),
    "Ready": _object(
        ("v", "ready", "store"),
        "Whether locks are answered.",
        ready=_flag("Whether locks are answered."),
        store={"enum": ["none", "connecting", "connected", "away"], "description": "The store that pools are kept in."},
    ),
    "Refusal": _object(
        ("v", "message"),
        "Why a request is refused.",
        message={"type": "string", "description": "What is wrong, and what to do."},
        field={"type": "string", "description": "The field that is wrong, or body."},
    ),
}
