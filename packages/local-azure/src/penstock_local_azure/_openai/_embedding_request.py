"""Reads the body of a request for embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ._api_error import bad_request
from ._bodies import check_parameters
from ._deployment import Deployment

_ACCEPTED: Final = frozenset({"dimensions", "encoding_format", "input", "model", "user"})
_MOST_INPUTS: Final = 2_048

Input = str | list[int]
"""A text, or the tokens of one."""


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """A request for embeddings that can be answered, if its inputs are not too long."""

    inputs: list[Input]
    dimensions: int
    base64: bool


def read_embedding_request(body: Mapping[str, Any], deployment: Deployment) -> EmbeddingRequest:
    """Read the parameters of a request for embeddings.

    Raises:
        ApiError: a parameter is wrong.
    """
    check_parameters(body, "embeddings", accepted=_ACCEPTED, not_implemented_unless={})
    form = body.get("encoding_format")
    if form not in (None, "float", "base64"):
        raise bad_request("'encoding_format' must be 'float' or 'base64'.", param="encoding_format")
    return EmbeddingRequest(
        _inputs(body.get("input")), _dimensions(body.get("dimensions"), deployment), form == "base64"
    )


def _inputs(given: object) -> list[Input]:
    """Read one input or several, each a text or a list of tokens."""
    if isinstance(given, str) or _is_tokens(given):
        return [_input(given)]
    if not isinstance(given, list) or not 1 <= len(given) <= _MOST_INPUTS:
        raise bad_request(f"'input' must be a text, tokens, or a list of 1 to {_MOST_INPUTS} of them.", param="input")
    return [_input(each) for each in given]


def _input(given: object) -> Input:
    """Read one input."""
    if isinstance(given, str) and given:
        return given
    if _is_tokens(given):
        return given  # type: ignore[return-value]  # it was just looked at
    raise bad_request("Each 'input' must be a text or a list of tokens, and not empty.", param="input")


def _is_tokens(given: object) -> bool:
    """Tell whether an input is a list of tokens."""
    return isinstance(given, list) and bool(given) and all(type(token) is int for token in given)


def _dimensions(given: object, deployment: Deployment) -> int:
    """Read how long the vectors are to be."""
    most = deployment.dimensions
    if given is None:
        return most
    if not deployment.shortens:
        raise bad_request("This model does not support specifying dimensions.", param="dimensions")
    if type(given) is not int or not 1 <= given <= most:
        raise bad_request(f"'dimensions' must be a whole number from 1 to {most}.", param="dimensions")
    return given
