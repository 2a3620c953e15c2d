"""Checks of arguments, before anything is sent; each error names the argument."""

from collections.abc import Mapping
from typing import Any

from penstock_tokenizers import encoding_name_for

from ._native import OWN_PARAMETERS


def check_number(argument: str, value: int, *, least: int) -> int:
    """Return a whole number that is large enough."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{argument} must be a whole number of at least {least}, not {value!r:.40}")
    return value


def check_seconds(argument: str, value: float | None) -> None:
    """Refuse a time that is not positive."""
    if value is not None and not (isinstance(value, int | float) and value > 0):
        raise ValueError(f"{argument} must be a positive number of seconds, not {value!r:.40}")


def check_parameters(parameters: Mapping[str, Any] | None) -> None:
    """Refuse request parameters that the service decides itself."""
    if own := OWN_PARAMETERS & (parameters or {}).keys():
        raise ValueError(f"parameters must not contain {', '.join(sorted(own))}: the service sets them")


def check_encodings(deployment: str, encodings: Mapping[str, str] | None) -> None:
    """Refuse a deployment of which nothing says how its tokens are counted."""
    try:
        known = encoding_name_for(deployment, encodings)
    except ValueError as error:
        raise ValueError(f"encodings (AZURE_OPENAI_MODEL): {error}") from None
    if known is None:
        raise ValueError(
            f"encodings has no entry for {deployment!r}, whose name does not say its model:"
            f' pass encodings={{"{deployment}": "gpt-4o"}} or whatever it is, or set AZURE_OPENAI_MODEL beside'
            " AZURE_OPENAI_DEPLOYMENT_NAME"
        )


def check_nothing_beside_client(**arguments: object) -> None:
    """Refuse arguments that a ready client has decided already."""
    if given := [name for name, value in arguments.items() if value is not None]:
        raise ValueError(f"give client or {', '.join(given)}, not both")
