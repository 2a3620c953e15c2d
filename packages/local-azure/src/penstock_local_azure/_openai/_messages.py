"""Reads the messages of a chat completion, with the calls of tools in them and what came of those."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ._api_error import bad_request, not_implemented

Message = dict[str, Any]
_ROLES: Final = ("assistant", "developer", "system", "tool", "user")


def read_messages(messages: object) -> list[Message]:
    """Read the messages, their texts joined.

    Raises:
        ApiError: something is wrong with one (400), or it holds what the stand-in does not read (501).
    """
    if not isinstance(messages, list) or not messages:
        raise bad_request("'messages' must be a list with at least one message.", param="messages")
    read = [_message(message, f"messages.[{index}]") for index, message in enumerate(messages)]
    _check_calls_are_answered(read)
    return read


def message_text(message: Message) -> str:
    """Return all that a model reads of a message."""
    calls = message.get("tool_calls", [])
    called = (call["function"]["name"] + call["function"]["arguments"] for call in calls)
    return "".join((message["content"], *called))


def _message(message: object, param: str) -> Message:
    """Read one message."""
    if not isinstance(message, dict):
        raise bad_request(f"{param!r} must be an object.", param=param)
    role, name = message.get("role"), message.get("name")
    if role == "function" or message.get("function_call"):
        raise not_implemented("functions, which tools have replaced", param=param)
    if role not in _ROLES:
        raise bad_request(f"'role' of {param!r} must be one of {', '.join(_ROLES)}.", param=f"{param}.role")
    if name is not None and not isinstance(name, str):
        raise bad_request(f"'name' of {param!r} must be a string.", param=f"{param}.name")
    read = {"role": role, "content": _content(message.get("content"), role, f"{param}.content")}
    return read | ({"name": name} if name else {}) | _tool_parts(message, role, param)


def _tool_parts(message: Mapping[str, Any], role: str, param: str) -> Message:
    """Read the calls that an assistant's message makes, or which one a tool's message answers."""
    if role == "tool":
        if not isinstance(message.get("tool_call_id"), str):
            raise bad_request(f"{param!r} must have a 'tool_call_id'.", param=f"{param}.tool_call_id")
        return {"tool_call_id": message["tool_call_id"]}
    if role != "assistant" or not message.get("tool_calls"):
        return {}
    calls = message["tool_calls"]
    if not isinstance(calls, list):
        raise bad_request(f"'tool_calls' of {param!r} must be a list.", param=f"{param}.tool_calls")
    return {"tool_calls": [_call(call, f"{param}.tool_calls.[{index}]") for index, call in enumerate(calls)]}


def _call(call: object, param: str) -> Message:
    """Read one call of a tool."""
    if isinstance(call, dict) and call.get("type", "function") != "function":
        raise not_implemented("tools other than functions", param=param)
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise bad_request(f"{param!r} must be an object with a 'function'.", param=param)
    texts = {"id": call.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise bad_request(f"{name!r} of {param!r} must be a string.", param=param)
    return {
        "id": texts["id"],
        "type": "function",
        "function": {"name": texts["name"], "arguments": texts["arguments"]},
    }


def _check_calls_are_answered(messages: list[Message]) -> None:
    """Refuse an answer to no call, and a call without one: each must come right after the message that calls."""
    open_calls: set[str] = set()
    for index, message in enumerate([*messages, {"role": "user"}]):
        param = f"messages.[{index}]"
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                raise bad_request(f"{param!r} answers no call of a message right before it.", param=f"{param}.role")
            open_calls.discard(message["tool_call_id"])
        elif open_calls:
            raise bad_request(f"Before {param!r} a call of a tool must be answered.", param=param)
        else:
            open_calls = {call["id"] for call in message.get("tool_calls", [])}


def _content(content: object, role: str, param: str) -> str:
    """Read a message's text, given whole or in parts."""
    if isinstance(content, str):
        return content
    if content is None and role == "assistant":
        return ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise bad_request(f"{param!r} must be a string or a list of content parts.", param=param)
    return "".join(_parts(content, param))


def _parts(content: list[Mapping[str, Any]], param: str) -> Iterator[str]:
    """Read content parts."""
    for part in content:
        kind = part.get("type")
        if kind not in ("text", "refusal"):
            raise not_implemented("content parts other than text", param=param)
        if not isinstance(part.get(kind), str):
            raise bad_request(f"{kind!r} in {param!r} must be a string.", param=param)
        yield part[kind]
