"""Chat messages: what may be sent, checked before anything is sent."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

Message = dict[str, Any]

ROLES: Final = ("system", "developer", "user", "assistant", "tool")


def checked(messages: Iterable[Mapping[str, Any]]) -> list[Message]:
    """Return a copy of the messages that can be sent as it is.

    A lone surrogate, which no JSON text can carry, becomes U+FFFD.

    Raises:
        TypeError: ``messages`` or one of them is of the wrong type.
        ValueError: There are none, or one has no known role or no content.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Iterable):
        raise TypeError(f"messages must be a list of mappings, not {type(messages).__name__}")
    copies = [_checked(message, f"messages[{index}]") for index, message in enumerate(messages)]
    if not copies:
        raise ValueError("messages must not be empty")
    return copies


def characters(messages: Iterable[Mapping[str, Any]]) -> int:
    """Count the characters of all texts, roughly: what tokenising will take grows with it."""
    return sum(_length(message.get("content")) for message in messages)


def sendable(text: str) -> str:
    """Replace what UTF-8 cannot carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _checked(message: Mapping[str, Any], where: str) -> Message:
    """Check and copy one message."""
    if not isinstance(message, Mapping):
        raise TypeError(f"{where} must be a mapping, not {type(message).__name__}")
    if message.get("role") not in ROLES:
        raise ValueError(f"{where}: role must be one of {', '.join(ROLES)}")
    if message.get("content") is None and not message.get("tool_calls"):
        raise ValueError(f"{where}: content is missing")
    return {**message, "content": _content(message.get("content"), where)}


def _content(content: object, where: str) -> object:
    """Check and copy a message's content."""
    if content is None:
        return None
    if isinstance(content, str):
        return sendable(content)
    if isinstance(content, list) and all(isinstance(part, Mapping) and _is_text(part) for part in content):
        return [{**part, "text": sendable(part["text"])} for part in content]
    raise TypeError(f"{where}: content must be a string or a list of text parts")


def _is_text(part: Mapping[str, Any]) -> bool:
    """Tell whether a content part is text, the only kind whose tokens can be counted."""
    return part.get("type") == "text" and isinstance(part.get("text"), str)


def _length(content: object) -> int:
    """Count the characters of one content."""
    if isinstance(content, list):
        return sum(len(part["text"]) for part in content)
    return len(content) if isinstance(content, str) else 0
