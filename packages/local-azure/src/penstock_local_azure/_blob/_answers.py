"""What an operation answers, before it is written to the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import _xml
from ._content import EMPTY, Content
from ._refusal import Refusal

_XML = {"Content-Type": "application/xml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer.

    Attributes:
        status: Its HTTP status.
        headers: Its headers, but those that every answer has, and its length.
        content: Where the bytes of its body are.
        span: Which of them: start and stop (exclusive); None: all.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content = EMPTY
    span: tuple[int, int] | None = None

    @property
    def bounds(self) -> tuple[int, int]:
        """Start and stop (exclusive) of the body within the content."""
        return self.span or (0, self.content.length)


def document(text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An XML document as an answer."""
    return Answer(headers={**(headers or {}), **_XML}, content=Content(text.encode("utf-8", "surrogateescape")))


def refused(refusal: Refusal) -> Answer:
    """The answer that a refusal is; the code stands in a header too, for HEAD and 304 have no body."""
    body = Content(_xml.error(refusal.code, refusal.message).encode())
    headers = {**refusal.headers, "x-ms-error-code": refusal.code, **_XML}
    return Answer(status=refusal.status, headers=headers, content=body)
