"""From what the processor returned to the bodies that are sent on."""

import json
from dataclasses import dataclass
from typing import Any

from penstock_servicebus._errors import UnsendableResult

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Payload:
    """One body ready to be sent."""

    body: bytes
    content_type: str | None = None


def encode_results(result: Any) -> list[Payload]:  # noqa: ANN401 - the user's results, checked here
    """Make payloads of a result: None, `str`, `bytes`, `dict`, an object with `model_dump_json`, or a list of these.

    Raises:
        UnsendableResult: It is something else, or cannot be written as UTF-8 or JSON.
    """
    if result is None:
        return []
    if isinstance(result, list | tuple):
        return [_encode(item) for item in result]
    return [_encode(result)]


def _encode(item: Any) -> Payload:  # noqa: ANN401 - the user's results, checked here
    """Make one payload."""
    try:
        if isinstance(item, bytes):
            return Payload(item)
        if isinstance(item, str):
            return Payload(item.encode(), "text/plain")
        if isinstance(item, dict):
            return Payload(json.dumps(item, ensure_ascii=False, allow_nan=False).encode(), _JSON)
        if callable(getattr(item, "model_dump_json", None)):
            return Payload(item.model_dump_json().encode(), _JSON)
        problem = "str, bytes, dict, an object with model_dump_json, or a list of these is needed"
    except (ValueError, TypeError, RecursionError) as error:
        problem = f"{type(error).__name__} while writing it"
    # Raised here, outside the handler: the error above may quote the result.
    raise UnsendableResult(f"cannot send a result of type {type(item).__name__}: {problem}")
