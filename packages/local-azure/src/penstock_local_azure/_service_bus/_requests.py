"""Requests and replies: how `$cbs` and `$management` speak over a pair of links.

The request is a message whose application properties name the operation and whose body is a value; the reply repeats
the request's message id as its correlation id (AMQP management, working draft 9, section 3).
"""

from typing import Any, NamedTuple

from ._decode import decode
from ._encode import described, encode
from ._sections import APPLICATION_PROPERTIES, PROPERTIES, VALUE, split_sections
from ._types import Int

_REPLY_TO = 4
_CORRELATION_ID = 5


class Request(NamedTuple):
    """What is asked."""

    message_id: Any = None
    reply_to: str | None = None
    properties: dict[str, Any] = {}  # noqa: RUF012 - a default that nobody writes to
    body: Any = None

    @property
    def operation(self) -> str:
        """The name of what is to be done."""
        return str(self.properties.get("operation", ""))


class Reply(NamedTuple):
    """What is answered: a status as in HTTP, a sentence, and for errors the condition."""

    status: int
    description: str
    body: Any = None
    condition: str | None = None


class Dialect(NamedTuple):
    """The names a service gives to the parts of a reply."""

    status: str
    description: str
    condition: str


def read_request(payload: bytes) -> Request:
    """Read a request.

    Raises:
        DecodeError: if the payload is no message.
    """
    found: dict[int, Any] = {section.code: decode(payload, section.value)[0] for section in split_sections(payload)}
    fields = [*(found.get(PROPERTIES) or []), *[None] * (_REPLY_TO + 1)]
    return Request(fields[0], fields[_REPLY_TO], found.get(APPLICATION_PROPERTIES) or {}, found.get(VALUE))


def write_reply(request: Request, reply: Reply, dialect: Dialect) -> bytes:
    """Write the reply to a request."""
    properties = {dialect.status: Int(reply.status), dialect.description: reply.description}
    if reply.condition is not None:
        properties[dialect.condition] = reply.condition
    return b"".join(
        (
            described(PROPERTIES, encode([*[None] * _CORRELATION_ID, request.message_id])),
            described(APPLICATION_PROPERTIES, encode(properties)),
            described(VALUE, encode(reply.body)),
        )
    )
