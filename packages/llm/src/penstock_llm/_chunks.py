"""What a stream of a completion's chunks has said so far."""

from collections.abc import Iterator, Mapping
from typing import Any

from ._engine import Answer
from ._filter import struck
from ._usage import Usage, read_usage


class Chunks:
    """Takes chunks in order.

    Attributes:
        complete: Whether the stream said how the answer ends.
        usage: What it said it used, if it did.
    """

    def __init__(self) -> None:
        self.complete = False
        self.usage: Usage | None = None
        self._finish_reason = ""
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._filtered: tuple[str, ...] = ()

    @property
    def written(self) -> str:
        """Everything the model wrote so far, be it an answer or a refusal."""
        return "".join(self._texts + self._refusals)

    def take(self, chunk: object) -> str:
        """Take one chunk, and return what it adds to the text."""
        said = chunk if isinstance(chunk, Mapping) else {}
        self.usage = read_usage(said.get("usage")) or self.usage
        return "".join(text for choice in _mappings(said.get("choices")) for text in self._choice(choice))

    def answer(self, headers: Mapping[str, str]) -> Answer:
        """Return the whole answer."""
        return Answer(
            text="".join(self._texts),
            refusal="".join(self._refusals) or None,
            finish_reason=self._finish_reason,
            usage=self.usage,
            headers=headers,
            filtered=self._filtered,
        )

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[str]:
        """Take what one chunk says about the choice."""
        if isinstance(reason := choice.get("finish_reason"), str):
            self._finish_reason, self.complete = reason, True
        self._filtered = struck(choice.get("content_filter_results")) or self._filtered
        delta = choice.get("delta")
        if isinstance(delta, Mapping):
            if isinstance(refusal := delta.get("refusal"), str):
                self._refusals.append(refusal)
            if isinstance(text := delta.get("content"), str):
                self._texts.append(text)
                yield text


def _mappings(value: object) -> list[Mapping[str, Any]]:
    """Return a list of mappings as such."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
