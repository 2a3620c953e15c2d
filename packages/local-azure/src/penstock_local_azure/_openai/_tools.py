"""Reads which tools a chat completion offers, and whether the answer may or must call them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ._api_error import bad_request, not_implemented
from ._bodies import read_flag
from ._compact_json import compact_json
from ._schema import read_schema
from ._shapes import Plan

_MOST: Final = 128
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call, and what its arguments must fit."""

    name: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class Tools:
    """What a request says about tools."""

    definitions: tuple[Mapping[str, Any], ...] = ()
    """As they were sent, for counting."""
    compact: str = ""
    """The same as text."""
    choice: str | Mapping[str, Any] | None = None
    """What it says about the choice among them, as it was sent."""
    callable: tuple[Tool, ...] = ()
    """Those that the answer may call."""
    must: bool = False
    """Whether it must call one."""
    named: bool = False
    """Whether the request says which one."""
    parallel: bool = True
    """Whether it may call several at once."""


def read_tools(body: Mapping[str, Any]) -> Tools:
    """Read the parameters about tools.

    Raises:
        ApiError: one is wrong (400) or asks for what the stand-in does not do (501).
    """
    choice, parallel = body.get("tool_choice"), read_flag(body, "parallel_tool_calls")
    if not (definitions := body.get("tools")):
        for name, value in (("tool_choice", None if choice == "none" else choice), ("parallel_tool_calls", parallel)):
            if value is not None:
                raise bad_request(f"{name!r} is only allowed when 'tools' are specified.", param=name)
        return Tools()
    if not isinstance(definitions, list) or len(definitions) > _MOST:
        raise bad_request(f"'tools' must be a list of at most {_MOST}.", param="tools")
    tools = {tool.name: tool for tool in (_tool(each, index) for index, each in enumerate(definitions))}
    named = _named(choice, tools)
    return Tools(
        definitions=tuple(definitions),
        compact=compact_json(definitions),
        choice=choice,
        callable=() if choice == "none" else (named,) if named else tuple(tools.values()),
        must=choice == "required" or named is not None,
        named=named is not None,
        parallel=parallel is not False,
    )


def _tool(definition: object, index: int) -> Tool:
    """Read one tool."""
    param = f"tools[{index}]"
    kind = definition.get("type") if isinstance(definition, dict) else None
    if isinstance(kind, str) and kind != "function":
        raise not_implemented("tools other than functions", param=param)
    function = definition.get("function") if isinstance(definition, dict) else None
    if kind is None or not isinstance(function, dict):
        raise bad_request(f"{param!r} must be an object with a 'type' and a 'function'.", param=param)
    name, parameters = function.get("name"), function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise bad_request(
            f"'name' of {param!r} must be 1 to 64 letters, digits, underscores or dashes.",
            param=f"{param}.function.name",
        )
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        raise bad_request(
            f"'parameters' of {param!r} must be a schema of type 'object'.", param=f"{param}.function.parameters"
        )
    strict = function.get("strict") is True and "parameters" in function
    return Tool(name, read_schema(compact_json(parameters), strict=strict, param=f"{param}.function.parameters"))


def _named(choice: object, tools: Mapping[str, Tool]) -> Tool | None:
    """Read which tool must be called; None: the request names none."""
    if choice in (None, "none", "auto", "required"):
        return None
    kind = choice.get("type") if isinstance(choice, dict) else None
    if isinstance(kind, str) and kind != "function":
        raise not_implemented(f"'tool_choice' of type {kind!r}", param="tool_choice")
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or name not in tools:
        raise bad_request(
            "'tool_choice' must be 'none', 'auto', 'required', or name a function of 'tools'.", param="tool_choice"
        )
    return tools[name]
