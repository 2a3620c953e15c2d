"""Token counts of tools."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import tiktoken

from ._expansion import Expansion
from ._texts import compact, count_text
from ._tool_notation import write_definition, write_functions

TOKENS_OF_TOOLS: Final = 9
TOKENS_OF_CHOICE: Final = 7


def count_tools(
    encoding: tiktoken.Encoding, tools: Iterable[Mapping[str, Any]], tool_choice: str | Mapping[str, Any] | None = None
) -> int:
    """Count tool definitions in the notation that the models read, as far as it is known; see the README.

    Args:
        encoding: The model's.
        tools: As in a request. What is no function counts as compact JSON.
        tool_choice: As in a request.
    """
    listed = list(tools)
    if not listed:
        return 0
    functions = [tool["function"] for tool in listed if isinstance(tool.get("function"), Mapping)]
    others = [tool for tool in listed if not isinstance(tool.get("function"), Mapping)]
    return (
        TOKENS_OF_TOOLS
        + count_text(encoding, write_functions(functions))
        + sum(_count_definitions(encoding, function) for function in functions)
        + sum(count_text(encoding, compact(tool)) for tool in others)
        + _count_choice(encoding, tool_choice)
    )


def _count_definitions(encoding: tiktoken.Encoding, function: Mapping[str, Any]) -> int:
    """Count what the parameters of a function refer to."""
    parameters = function.get("parameters")
    if not isinstance(parameters, Mapping):
        return 0
    return Expansion(parameters, lambda node: count_text(encoding, write_definition(node))).behind()


def _count_choice(encoding: tiktoken.Encoding, tool_choice: str | Mapping[str, Any] | None) -> int:
    """Count what a request says about the choice of a tool."""
    if not isinstance(tool_choice, Mapping):
        return 1 if tool_choice == "none" else 0
    function = tool_choice.get("function")
    name = str(function.get("name", "")) if isinstance(function, Mapping) else compact(tool_choice)
    return TOKENS_OF_CHOICE + count_text(encoding, name)
