"""Reads what the bodies of all operations have in common: that they are JSON objects of known parameters."""

import json
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from ._api_error import bad_request, not_implemented


def read_body(raw: bytes) -> dict[str, Any]:
    """Parse a request's body.

    Raises:
        ApiError: it is no JSON object.
    """
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        # The body is content, and the parser's error holds all of it.
        raise bad_request("The body of the request is not valid JSON.") from None
    if not isinstance(body, dict):
        raise bad_request("The body of the request must be a JSON object.")
    return body


def _refuse_constant(name: str) -> NoReturn:
    """Refuse what Python takes for a number and JSON does not."""
    raise ValueError(name)


def check_parameters(
    body: Mapping[str, Any],
    operation: str,
    *,
    accepted: Collection[str],
    not_implemented_unless: Mapping[str, tuple[object, ...]],
) -> None:
    """Refuse parameters that would go unheeded.

    Args:
        body: the request's.
        operation: what to call the operation.
        accepted: parameters that are understood, or known not to matter here.
        not_implemented_unless: parameters that would change the answer, and the values with which they would not.

    Raises:
        ApiError: a parameter is unknown (400), or asks for what the stand-in does not do (501).
    """
    for name, value in body.items():
        if name in accepted:
            continue
        if name not in not_implemented_unless:
            raise bad_request(f"Unrecognized request argument supplied: {name}", param=name)
        if value not in not_implemented_unless[name]:
            raise not_implemented(f"{name!r} in {operation}", param=name)


def read_flag(body: Mapping[str, Any], name: str) -> bool | None:
    """Read a parameter that is true or false; None: it is not there."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad_request(f"{name!r} must be true or false.", param=name)
    return value
