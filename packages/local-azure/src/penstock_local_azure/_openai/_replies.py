"""What chat answers say by order of a test: one thing again and again, one after another, or what a function tells."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ._compact_json import compact_json
from ._fault_script import check
from ._faults import Fault
from ._requests import ModelRequest


@runtime_checkable
class Model(Protocol):
    """What of a Pydantic model is needed here."""

    def model_dump_json(self) -> str:
        """Return the model as JSON."""


Said: TypeAlias = str | dict[str, Any] | Model
"""A text, or an object that is answered as JSON."""
Value: TypeAlias = Said | Fault
"""What is said, or what goes wrong."""
Reply: TypeAlias = Value | Sequence[Value] | Callable[[ModelRequest], Value | None] | None


class Replies:
    """The orders for one deployment."""

    def __init__(self) -> None:
        self._next: Callable[[ModelRequest], Value | None] = _nothing

    def order(self, reply: Reply) -> None:
        """Replace the order there was.

        Raises:
            TypeError: it is nothing that can be answered.
            ValueError: it holds a fault that cannot be.
        """
        if reply is None:
            self._next = _nothing
        elif isinstance(reply, Sequence) and not isinstance(reply, str):
            left = deque(map(_checked, reply))
            self._next = lambda _: left.popleft() if left else None
        elif callable(reply) and not isinstance(reply, type | Model):
            self._next = reply
        else:
            value = _checked(reply)
            self._next = lambda _: value

    def next(self, request: ModelRequest) -> Value | None:
        """Return what a request is to be answered; None: whatever is drawn."""
        value = self._next(request)
        return None if value is None else _checked(value)


def as_text(said: Said) -> str:
    """Return what an answer says."""
    if isinstance(said, str):
        return said
    return compact_json(said) if isinstance(said, dict) else said.model_dump_json()


def _nothing(_: ModelRequest) -> None:
    """Leave an answer to the draw."""


def _checked(value: object) -> Value:
    """Refuse what cannot be answered; a class has all that its objects have, and is none of them."""
    if isinstance(value, type) or not isinstance(value, str | dict | Model | Fault):
        raise TypeError(f"a reply must be a text, a dict, a Pydantic model or a fault, not {type(value).__name__}")
    if isinstance(value, Fault):
        check(value)
    return value
