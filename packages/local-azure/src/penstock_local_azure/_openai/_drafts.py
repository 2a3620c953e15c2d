"""What a model would say to a chat request if nothing bounded it: drawn, or given by a test."""

from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal

from ._answers import answer
from ._chat_request import ChatRequest
from ._faults import Category
from ._shapes import Plan
from ._tools import Tool
from ._violations import malform, violate

_SEVERAL: Final = 1 / 4
"""How often an answer that may call several tools at once does."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool; its arguments are JSON as text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer before it is counted: a text, calls, or a refusal."""

    content: str | None = None
    calls: tuple[Call, ...] = ()
    refusal: str | None = None
    filtered: Category | None = None
    """What the content filter finds in it."""


def drawn(request: ChatRequest, seed: int) -> Draft:
    """Draw an answer: JSON for what must be JSON, else a few sentences."""
    if not request.calls:
        return Draft(answer(seed, request.prompt, request.format.plan if request.format else None))
    random = Random(f"{seed}\ntools\n{request.prompt}".encode("utf-8", "surrogatepass"))  # noqa: S311  # an answer
    several = request.tools.parallel and not request.tools.named and random.random() < _SEVERAL
    tools = [random.choice(request.tools.callable) for _ in range(2 if several else 1)]
    return Draft(calls=tuple(_drawn_call(request, seed, tool, index) for index, tool in enumerate(tools)))


def _drawn_call(request: ChatRequest, seed: int, tool: Tool, index: int) -> Call:
    """Draw the arguments of a call."""
    return Call(tool.name, answer(seed, f"{request.prompt}\n{tool.name}\n{index}", tool.plan))


def given(request: ChatRequest, text: str, *, typed: bool) -> Draft:
    """Make an answer of what a test gave.

    Args:
        request: what is answered.
        text: the answer's text, or the arguments of a call.
        typed: whether it was given as an object, not as a text: it then is a call wherever one is allowed.
    """
    calls = request.tools.must or (typed and request.calls and request.format is None)
    return Draft(calls=(Call(request.tools.callable[0].name, text),)) if calls else Draft(text)


def spoiled(request: ChatRequest, draft: Draft, how: Literal["schema", "json"]) -> Draft:
    """Return an answer no part of which is what was asked for."""
    plans = {tool.name: tool.plan for tool in request.tools.callable}
    calls = tuple(Call(call.name, _spoil(call.arguments, plans[call.name], how)) for call in draft.calls)
    if draft.content is None or request.format is None:
        return replace(draft, calls=calls)
    return Draft(_spoil(draft.content, request.format.plan, how), calls)


def _spoil(text: str, plan: Plan, how: Literal["schema", "json"]) -> str:
    """Return JSON that does not fit its plan, or that is none."""
    return violate(text, plan) if how == "schema" else malform(text)
