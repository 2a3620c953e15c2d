"""What schemathesis has to know beyond the description: a JSON Schema cannot say all that the wire asks for."""

from __future__ import annotations

import itertools
from typing import Any

import schemathesis

TEXTS = ("app_id", "request_id", "rate_request_id", "idempotency_key", "ticket")
COUNTS = ("token_count", "max_tokens", "requests", "prompt_tokens", "completion_tokens")
NUMBERS = itertools.count()


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Leave out what is refused although the description allows it."""
    return not isinstance(case.body, dict) or not _is_refused_by_words(case.body)


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Give every wish a key of its own, and do not wait long for any."""
    body = case.body
    if not isinstance(body, dict):
        return
    key, wait = body.get("idempotency_key"), body.get("wait_seconds")
    if isinstance(key, str) and key.strip() and len(key) < 240:
        body["idempotency_key"] = f"{key}-{next(NUMBERS)}"
    if isinstance(wait, int | float) and wait > 0:
        body["wait_seconds"] = min(wait, 0.01)


def _is_refused_by_words(body: dict[str, Any]) -> bool:
    """Tell whether a message has texts that do not print, a count with a fraction of zero, or parts above the whole."""
    whole, part = body.get("token_count"), body.get("max_tokens")
    return (
        any(isinstance(text := body.get(name), str) and not text.isprintable() for name in TEXTS)
        or any(isinstance(body.get(name), float) for name in COUNTS)
        or (isinstance(whole, int) and isinstance(part, int) and part > whole)
    )
