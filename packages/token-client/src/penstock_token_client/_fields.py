"""Reading the fields of a JSON object, with refusals that name the field."""

from __future__ import annotations

from typing import Any

from ._arguments import MAX_COUNT, count_fault

_NUMBERS = (int, float)  # and not bool, which Python takes for an int
MAX_TEXT = 256
"""The longest id, key or ticket, in characters."""


class ProtocolError(ValueError):
    """Raised when a message on the wire is not what it must be.

    Attributes:
        field: The field at fault, or ``"body"``.
    """

    permanent = True
    environment = False
    retry_after = None

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Fields:
    """One JSON object; unknown fields are ignored, an absent field and ``null`` are the same.

    Args:
        data: The decoded JSON.
        version: The only version of the protocol that is understood.

    Raises:
        ProtocolError: It is not an object, or of another version.
    """

    def __init__(self, data: object, version: int) -> None:
        if not isinstance(data, dict):
            raise ProtocolError("body", "the body must be a JSON object")
        self._data: dict[str, Any] = data
        given = data.get("v", version)
        if isinstance(given, bool) or given != version:
            raise ProtocolError("v", f"v must be {version}, the only version spoken here")

    def text(self, name: str) -> str:
        """Return a text that must be there and not blank."""
        value = self.optional_text(name)
        if value is None:
            raise ProtocolError(name, f"{name} is missing")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a text that is not blank, or None."""
        value = self._data.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise ProtocolError(name, f"{name} must be a text that is not blank")
        if len(value) > MAX_TEXT or not value.isprintable():
            raise ProtocolError(name, f"{name} must be at most {MAX_TEXT} printable characters")
        return value

    def count(self, name: str, default: int | None = None) -> int:
        """Return a whole number of at least 0."""
        value = self._given(name, default)
        if type(value) is int and 0 <= value <= MAX_COUNT:
            return value
        if value is None:
            raise ProtocolError(name, f"{name} is missing")
        raise ProtocolError(name, str(count_fault(name, value)))

    def seconds(self, name: str, default: float) -> float:
        """Return a number of seconds of at least 0."""
        value = self._given(name, default)
        if type(value) not in _NUMBERS or not 0 <= value <= MAX_COUNT:
            raise ProtocolError(name, f"{name} must be a number of seconds of at least 0")
        return float(value)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of a few words; the first where it is absent."""
        value = self._given(name, choices[0])
        if value not in choices:
            raise ProtocolError(name, f"{name} must be one of {', '.join(choices)}")
        return str(value)

    def object(self, name: str) -> dict[str, Any]:
        """Return an object, empty where it is absent."""
        value = self._given(name, {})
        if not isinstance(value, dict):
            raise ProtocolError(name, f"{name} must be an object")
        return value

    def _given(self, name: str, default: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return what a field holds; the default where it is absent or null."""
        value = self._data.get(name)
        return default if value is None else value
