"""What an answer must look like: a Pydantic model's object, or plain text."""

import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from ._errors import InvalidAnswer
from ._strict_schema import strict_schema

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)

_LONGEST_NAME: Final = 64
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")


class Misfit(InvalidAnswer):
    """An invalid answer, and the words in which the model is told; they are content."""

    def __init__(self, model: str, error: ValidationError, names: AbstractSet[str]) -> None:
        # Without input and context, which quote the answer.
        details = error.errors(include_url=False, include_context=False, include_input=False)
        super().__init__(model, [(_location(detail["loc"], names), detail["type"]) for detail in details])
        self.explanation = "\n".join(
            f"- {'.'.join(map(str, detail['loc'])) or 'answer'}: {detail['msg']}" for detail in details
        )


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Shape(Generic[T]):
    """How an answer is asked for and how it is read."""

    name: str
    schema: Mapping[str, Any] | None
    """The JSON Schema that is sent; None for plain text."""
    strict: bool
    model: type[BaseModel] | None
    """The model; None for plain text."""
    read: Callable[[str], T]
    """Turns an answer's text into the value, or raises `InvalidAnswer`."""


TEXT: Final[Shape[str]] = Shape("text", None, strict=False, model=None, read=str)


def shape_of(response_model: type[ModelT]) -> Shape[ModelT]:
    """Return the shape of a Pydantic model, built once per model.

    Raises:
        TypeError: ``response_model`` is no Pydantic model class.
        ValueError: It does not describe an object.
    """
    if not isinstance(response_model, type) or not issubclass(response_model, BaseModel):
        # Not its repr: an object of a model in the place of its class holds content.
        is_class = isinstance(response_model, type)
        given = f"the class {response_model.__name__}" if is_class else f"a {type(response_model).__name__}"
        raise TypeError(f"response_model must be a Pydantic model class, not {given}")
    return _shape_of(response_model)  # type: ignore[return-value]  # lru_cache forgets which model it was given


@lru_cache(maxsize=256)
def _shape_of(model: type[BaseModel]) -> Shape[BaseModel]:
    """Build a model's schema and reader."""
    schema, strict = strict_schema(model)
    name = _NOT_IN_NAMES.sub("_", model.__name__)[:_LONGEST_NAME]
    names = frozenset(_property_names(schema))

    def read(text: str) -> BaseModel:
        # Raised outside the handler: Pydantic's own error, which quotes the answer, must not travel along as context.
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            misfit = Misfit(name, error, names)
        raise misfit

    return Shape(name, schema, strict=strict, model=model, read=read)


def _location(location: tuple[int | str, ...], names: AbstractSet[str]) -> str:
    """Write where a failure is; keys that the model chose, not the schema, are content and become an asterisk."""
    return ".".join(str(part) if isinstance(part, int) or part in names else "*" for part in location)


def _property_names(node: object) -> Iterator[str]:
    """Yield the names of all properties in a schema."""
    if isinstance(node, Mapping):
        yield from node.get("properties", {})
        for value in node.values():
            yield from _property_names(value)
    elif isinstance(node, list):
        for item in node:
            yield from _property_names(item)
