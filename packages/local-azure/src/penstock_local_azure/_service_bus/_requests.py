"""Requests and replies: how `$cbs` and `$management` speak over a pair of links.

The request is a message whose application properties name the operation and whose body is a value; the reply repeats
the request's message id as its correlation id (AMQP management, working draft 9, section 3).
"""

from typing import NamedTuple

from ._decode import DecodeError, decode
from ._encode import described, encode
from ._sections import APPLICATION_PROPERTIES, PROPERTIES, VALUE, read_fields, split_sections
from ._types import Int, Value

_REPLY_TO = 4
_CORRELATION_ID = 5


class Request(NamedTuple):
    """What is asked."""

    message_id: Value
    reply_to: str | None
    properties: dict[str, Value]
    body: Value

    @property
    def operation(self) -> str:
        """The name of what is to be done."""
        return str(self.properties.get("operation", ""))

    @property
    def link_name(self) -> str | None:
        """The name of the link on whose behalf its sender asks."""
        return self.properties.get("associated-link-name")


class Reply(NamedTuple):
    """What is answered: a status as in HTTP, a sentence, and for errors the condition."""

    status: int
    description: str
    body: Value = None
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
    fields: list[Value] = []
    properties: Value = {}
    body: Value = None
    for section in split_sections(payload):
        if section.code == PROPERTIES:
            fields = read_fields(payload, section.value)
        elif section.code == APPLICATION_PROPERTIES:
            properties, _ = decode(payload, section.value)
        elif section.code == VALUE:
            body, _ = decode(payload, section.value)
    if not isinstance(properties, dict):
        raise DecodeError("application properties that are no map")
    message_id, *_, reply_to = [*fields, *[None] * (_REPLY_TO + 1)][: _REPLY_TO + 1]
    return Request(message_id, reply_to, properties, body)


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
