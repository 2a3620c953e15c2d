"""From a message's bytes to what the processor's annotation asks for."""

import inspect
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from penstock_servicebus._errors import UndecodableMessage

Decoder = Callable[[bytes], Any]

_MAX_PLACES = 5


def decoder_for(annotation: Any) -> Decoder:  # noqa: ANN401 - an annotation may be any object
    """Choose the decoder by the annotation of the processor's first parameter.

    `str` (also when there is no annotation), `bytes`, `dict`, or any class with `model_validate_json`.

    Raises:
        TypeError: It is none of these.
    """
    if annotation in (inspect.Parameter.empty, Any, str):
        return _decode_text
    if annotation is bytes:
        return bytes
    if typing.get_origin(annotation) in (dict, Mapping) or annotation is dict:
        return _decode_object
    if callable(getattr(annotation, "model_validate_json", None)):
        return partial(_decode_model, annotation)
    raise TypeError(
        "processor_function must take str, bytes, dict or a class with model_validate_json, "
        f"not {getattr(annotation, '__name__', annotation)}",
    )


def _decode_text(body: bytes) -> str:
    """UTF-8, strictly."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"UnicodeDecodeError at byte {error.start}"
    raise UndecodableMessage("UTF-8 text", problem)


def _decode_object(body: bytes) -> dict[str, Any]:
    """A JSON object."""
    problem = ""
    try:
        value = json.loads(body)
    except json.JSONDecodeError as error:
        problem = f"JSONDecodeError at character {error.pos}"
    except (ValueError, RecursionError) as error:
        problem = type(error).__name__
    if problem:
        raise UndecodableMessage("a JSON object", problem)
    if not isinstance(value, dict):
        raise UndecodableMessage("a JSON object", f"it is a JSON {type(value).__name__}")
    return value


def _decode_model(model: Any, body: bytes) -> Any:  # noqa: ANN401 - whatever class the user chose
    """A model that validates its own JSON; it is given the bytes, so that it also judges the encoding."""
    try:
        return model.model_validate_json(body)
    except ValueError as error:
        problem = f"{type(error).__name__}{_places(model, error)}"
    # Raised here, outside the handler, so that the validation error and the input it quotes are no context of ours.
    raise UndecodableMessage(f"a valid {model.__name__}", problem)


def _places(model: Any, error: ValueError) -> str:  # noqa: ANN401 - whatever class the user chose
    """Where validation failed and why, by type: `: feedback.rating (missing)`.

    A location may contain keys that the sender chose; those are content and shown as `*`.
    """
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return ""
    known = set(_field_names(model))
    faults = errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{_place(fault['loc'], known)} ({fault['type']})" for fault in faults[:_MAX_PLACES]]
    more = f" and {len(faults) - _MAX_PLACES} more" if len(faults) > _MAX_PLACES else ""
    return f": {', '.join(shown)}{more}"


def _place(location: tuple[int | str, ...], known: set[str]) -> str:
    """One location in dotted form."""
    parts = (str(part) if isinstance(part, int) or part in known else "*" for part in location)
    return ".".join(parts) or "body"


def _field_names(model: Any) -> Iterator[str]:  # noqa: ANN401 - whatever class the user chose
    """Every field name in the model's own JSON schema, if it has one."""
    schema_of = getattr(model, "model_json_schema", None)
    waiting: list[Any] = [schema_of()] if callable(schema_of) else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield from node.get("properties", {})
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
