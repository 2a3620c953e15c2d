"""Reads which shape the text of an answer must have."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ._api_error import bad_request
from ._compact_json import compact_json
from ._schema import read_schema
from ._shapes import Array, Object, Plan, Property, Text

_SCHEMA_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ANY_OBJECT: Final = Plan(
    Object((Property("answer", Text(), required=True), Property("remarks", Array(Text()), required=False)))
)
"""What is drawn when any object will do."""


@dataclass(frozen=True, slots=True)
class Format:
    """The JSON that an answer must be: a plan to draw from, and its schema as it was sent and as compact text."""

    plan: Plan
    schema: Mapping[str, Any] | None = None
    compact: str = ""


def read_format(response_format: object) -> Format | None:
    """Read the shape asked for; None: plain text.

    Raises:
        ApiError: it is wrong (400), or the stand-in cannot draw it (501).
    """
    if response_format is None:
        return None
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if not isinstance(response_format, dict) or kind not in ("text", "json_object", "json_schema"):
        raise bad_request(
            "'response_format' must be an object of type 'text', 'json_object' or 'json_schema'.",
            param="response_format",
        )
    if kind == "json_schema":
        return _json_schema(response_format.get("json_schema"))
    return Format(_ANY_OBJECT) if kind == "json_object" else None


def check_json_is_mentioned(response_format: Format | None, prompt: str) -> None:
    """Refuse to answer with any object when the prompt does not speak of JSON."""
    if response_format is not None and response_format.schema is None and "json" not in prompt.casefold():
        raise bad_request(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )


def _json_schema(named: object) -> Format:
    """Read a named schema."""
    if not isinstance(named, dict) or not isinstance(schema := named.get("schema"), dict):
        raise bad_request("'json_schema' must hold a 'schema', which is an object.", param="response_format")
    if not _SCHEMA_NAME.fullmatch(str(named.get("name", ""))):
        raise bad_request(
            "'name' of 'json_schema' must be 1 to 64 letters, digits, underscores or dashes.", param="response_format"
        )
    compact = compact_json(schema)
    return Format(read_schema(compact, strict=named.get("strict") is True), schema, compact)
