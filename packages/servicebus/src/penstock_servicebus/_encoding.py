"""From what the processor returned to the bodies that are sent on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock_servicebus._errors import UnsendableResult
from penstock_servicebus._identity import MAX_ID_LENGTH
from penstock_servicebus._result import PropertyValue, Result

_JSON = "application/json"
_OWN_PREFIX = "penstock-"
_LEAST, _MOST = -(2**63), 2**64 - 1  # what AMQP has a type for


@dataclass(frozen=True, slots=True)
class Payload:
    """One body ready to be sent, with what its maker wants to travel beside it."""

    body: bytes = field(repr=False)
    content_type: str | None = None
    properties: Mapping[str, PropertyValue] = field(default_factory=dict, repr=False)
    message_id: str | None = None
    session_id: str | None = None
    subject: str | None = None


def encode_results(result: Any) -> list[Payload]:  # noqa: ANN401 - the user's results, checked here
    """Make payloads of a result.

    None, `str`, `bytes`, `dict`, an object with `model_dump_json`, a `Result` of one of these, or a list of them.

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
    if not isinstance(item, Result):
        return Payload(*_encode_body(item))
    _check_properties(item.properties)
    for name in ("message_id", "session_id"):
        _check_id(name, getattr(item, name))
    body, content_type = _encode_body(item.body)
    return Payload(body, content_type, item.properties, item.message_id, item.session_id, item.subject)


def _encode_body(item: Any) -> tuple[bytes, str | None]:  # noqa: ANN401 - the user's results, checked here
    """The bytes of one result and their content type."""
    try:
        if isinstance(item, bytes):
            return item, None
        if isinstance(item, str):
            return item.encode(), "text/plain"
        if isinstance(item, dict):
            return json.dumps(item, ensure_ascii=False, allow_nan=False).encode(), _JSON
        if callable(getattr(item, "model_dump_json", None)):
            return item.model_dump_json().encode(), _JSON
        problem = "str, bytes, dict, an object with model_dump_json, or a list of these is needed"
    except (ValueError, TypeError, RecursionError) as error:
        problem = f"{type(error).__name__} while writing it"
    # Raised here, outside the handler: the error above may quote the result.
    raise UnsendableResult(f"cannot send a result of type {type(item).__name__}: {problem}")


def _check_properties(properties: Mapping[str, PropertyValue]) -> None:
    """Refuse what cannot travel as an application property."""
    for name, value in properties.items():
        if not isinstance(name, str) or not name or name.startswith(_OWN_PREFIX):
            raise UnsendableResult(
                f"cannot send a result: its properties need names, none beginning with {_OWN_PREFIX}"
            )
        if not isinstance(value, str | bytes | int | float | datetime | UUID | None):
            raise UnsendableResult(f"cannot send a result: a property of it is of type {type(value).__name__}")
        if isinstance(value, int) and not _LEAST <= value <= _MOST:
            raise UnsendableResult("cannot send a result: a property of it is a number of more than 64 bits")


def _check_id(name: str, value: object) -> None:
    """Refuse what cannot be an id."""
    if value is not None and (not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH):
        raise UnsendableResult(f"cannot send a result: its {name} must be text of 1 to {MAX_ID_LENGTH} characters")
