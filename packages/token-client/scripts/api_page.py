"""Write API.md: every public name of this package with its signature and the first line of its documentation."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, ForwardRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path(__file__).parents[1] / "API.md"
MODULES = ("", ".testing", ".protocol", ".accounting")
INTRODUCTION = """# API of penstock-token-client

Every public name with its signature, as `inspect.signature` gives it; the docstrings say more. Written by
`python packages/token-client/scripts/api_page.py`, and a test tells when it is out of date.
"""


class Verbatim:
    """Shows as the text it was made of, without quotation marks."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        """Show the text."""
        return self._text


def render() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *(line for name in MODULES for line in module_lines(name))])


def module_lines(suffix: str) -> Iterator[str]:
    """Describe one module."""
    module = importlib.import_module(f"penstock_token_client{suffix}")
    yield f"## {module.__name__}\n\n{first_line(module)}\n"
    for name in module.__all__:
        yield from name_lines(name, getattr(module, name))


def name_lines(name: str, thing: Any) -> Iterator[str]:  # noqa: ANN401 - a public name may stand for anything
    """Describe one public name."""
    if inspect.isclass(thing):
        yield f"### `{name}{constructor(thing)}`\n\n{first_line(thing)}\n"
        members = [line for member, value in sorted(ours(thing).items()) for line in member_lines(member, value)]
        yield from [*members, ""] if members else []
    elif inspect.isfunction(thing):
        yield f"### `{prefix(thing)}{name}{signature(thing)}`\n\n{first_line(thing)}\n"
    else:
        yield f"### `{name} = {thing!r}`\n".replace("typing.", "")


def member_lines(name: str, value: object) -> Iterator[str]:
    """Describe one public member of a class."""
    if name.startswith("_"):
        return
    function = plain(value)
    if inspect.isfunction(function):
        kind = "classmethod " if isinstance(value, classmethod) else prefix(function)
        yield f"- `{kind}{name}{signature(function)}`: {first_line(function)}"
    elif isinstance(value, property) and value.fget is not None:
        yield f"- `{name}: {value.fget.__annotations__['return']}`: {first_line(value)}"


def ours(thing: type) -> dict[str, Any]:
    """Return the members of a class that it has from this package, itself or by inheritance."""
    bases = [base for base in reversed(thing.__mro__) if base.__module__.startswith("penstock_token_client")]
    return {name: value for base in bases for name, value in vars(base).items()}


def constructor(thing: type) -> str:
    """Return how a class is called, or nothing where nobody calls it."""
    members = ours(thing)
    made_here = plain(members.get("__init__") or members.get("__new__"))
    if getattr(thing, "_is_protocol", False) or not inspect.isfunction(made_here):
        return ""
    return signature(made_here, result=False)


def plain(member: object) -> object:
    """Return the function inside a class method or a static method."""
    return member.__func__ if isinstance(member, classmethod | staticmethod) else member


def signature(function: Callable[..., Any], *, result: bool = True) -> str:
    """Return a signature without the object or class itself, its annotations as they are written."""
    given = inspect.signature(function)
    parameters = [shown(each) for each in given.parameters.values() if each.name not in ("self", "cls", "_cls")]
    returned = verbatim(given.return_annotation) if result else inspect.Signature.empty
    return str(given.replace(parameters=parameters, return_annotation=returned))


def shown(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter that shows its annotation without quotation marks, and a function by its name."""
    default = parameter.default
    if callable(default) and default is not inspect.Parameter.empty:
        default = Verbatim(f"{default.__module__}.{default.__qualname__}")
    return parameter.replace(annotation=verbatim(parameter.annotation), default=default)


def verbatim(annotation: object) -> object:
    """Return something that shows an annotation as it is written."""
    if isinstance(annotation, ForwardRef):
        return Verbatim(annotation.__forward_arg__)
    return Verbatim(annotation) if isinstance(annotation, str) else annotation


def prefix(function: object) -> str:
    """Return ``async `` for what is awaited."""
    return "async " if inspect.iscoroutinefunction(function) else ""


def first_line(thing: object) -> str:
    """Return the first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
