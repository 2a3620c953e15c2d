"""Reads what an answer used while its bytes pass by: from its usage, or from its text if it does not say.

Synchronous, and lenient: what cannot be read is somebody else's to complain about.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ._usage import Usage, read_usage

_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"


class Meter:
    """One answer.

    Attributes:
        streaming: Whether it comes as a stream of events.
        usage: What the endpoint said it used, if it did.
        truncated: Whether the answer was cut off at its largest size.
        done: Whether a stream said that it is complete.
    """

    def __init__(self, *, streaming: bool) -> None:
        self.usage: Usage | None = None
        self.truncated = False
        self.done = False
        self.streaming = streaming
        self._rest = bytearray()
        self._words: list[str] = []

    @property
    def text(self) -> str:
        """Everything a stream said so far."""
        return "".join(self._words)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._rest += chunk
        if self.streaming and b"\n" in chunk:
            *lines, rest = self._rest.split(b"\n")
            self._rest = rest
            for line in lines:
                self._line(line)

    def end(self) -> None:
        """Take note that there are no more."""
        if self.streaming:
            self._line(self._rest)
        else:
            self._read(self._rest)
        self._rest = bytearray()

    def _line(self, line: bytes | bytearray) -> None:
        """Take a line of a stream of events."""
        if line.startswith(_DATA):
            data = line[len(_DATA) :].strip()
            self.done = self.done or data == _DONE
            self._read(data)

    def _read(self, data: bytes | bytearray) -> None:
        """Take a completion, or a part of one."""
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(body, Mapping):
            # An event of the responses API carries its whole response at the end.
            response = body.get("response")
            self._take(response if isinstance(response, Mapping) else body)
            self._words += _words(body)

    def _take(self, body: Mapping[str, Any]) -> None:
        """Take the facts of a completion."""
        self.usage = read_usage(body.get("usage")) or self.usage
        reasons = [choice.get("finish_reason") for choice in _choices(body)]
        self.truncated = self.truncated or "length" in reasons or body.get("status") == "incomplete"


def _choices(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List a completion's choices."""
    choices = body.get("choices")
    return [each for each in choices if isinstance(each, Mapping)] if isinstance(choices, list) else []


def _words(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of one event: an answer's, a refusal's, or that of a call of a tool."""
    if isinstance(delta := body.get("delta"), str):
        yield delta
    for choice in _choices(body):
        yield from _strings(choice.get("delta"))


def _strings(node: object) -> Iterator[str]:
    """Yield what a delta says."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in ("content", "refusal", "name", "arguments", "input") and isinstance(value, str):
                yield value
            else:
                yield from _strings(value)
    elif isinstance(node, list):
        for each in node:
            yield from _strings(each)
