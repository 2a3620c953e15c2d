"""What can be told about one message without working on it."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage

from penstock_servicebus._errors import UndecodableMessage
from penstock_servicebus._identity import Identity
from penstock_servicebus._messages import body_of, identity_of

VERSION = 1
"""Version of the `--json` lines."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One message as the commands show it.

    Attributes:
        sequence_number: Its number in the queue.
        identity: Who it is.
        state: `active`, `deferred` or `scheduled`.
        delivery_count: Deliveries that failed.
        enqueued: When its origin was first enqueued.
        due: When it becomes visible, if it is scheduled.
        session_id: Its session, if it has one.
        content_type: As its sender named it.
        reason: Why it is a dead letter.
        description: The same in more words.
        body: Its body; None if that is not text or bytes.
    """

    sequence_number: int
    identity: Identity
    state: str
    delivery_count: int
    enqueued: datetime | None
    due: datetime | None
    session_id: str | None
    content_type: str | None
    reason: str | None
    description: str | None
    body: bytes | None

    def age(self, now: datetime) -> float | None:
        """Seconds since its origin was first enqueued."""
        return None if self.enqueued is None else max((now - self.enqueued).total_seconds(), 0.0)

    def as_json(self, now: datetime, *, with_body: bool) -> dict[str, Any]:
        """The listing as one object; a body that is not UTF-8 is given in base64."""
        age = self.age(now)
        facts = {
            "v": VERSION,
            "sequence_number": self.sequence_number,
            "id": self.identity.message_id,
            "origin": self.identity.origin_id,
            "attempt": self.identity.attempt + 1,
            "state": self.state,
            "delivery_count": self.delivery_count,
            "enqueued": _iso(self.enqueued),
            "due": _iso(self.due),
            "age_s": None if age is None else round(age, 3),
            "size": None if self.body is None else len(self.body),
            "session_id": self.session_id,
            "content_type": self.content_type,
            "reason": self.reason,
            "description": self.description,
        }
        return facts | _body_as_json(self.body) if with_body else facts


def listing_of(message: ServiceBusReceivedMessage, queue: str) -> Listing:
    """Read all that is shown of a message."""
    identity = identity_of(message, queue)
    first, state = identity.enqueued_ms, message.state.name.lower()
    return Listing(
        sequence_number=message.sequence_number or 0,
        identity=identity,
        state=state,
        delivery_count=message.delivery_count or 0,
        enqueued=None if first is None else datetime.fromtimestamp(first / 1000, UTC),
        due=message.scheduled_enqueue_time_utc if state == "scheduled" else None,
        session_id=message.session_id,
        content_type=message.content_type,
        reason=message.dead_letter_reason,
        description=message.dead_letter_error_description,
        body=_body_or_none(message),
    )


def _body_or_none(message: ServiceBusReceivedMessage) -> bytes | None:
    try:
        return body_of(message)
    except UndecodableMessage:
        return None


def _body_as_json(body: bytes | None) -> dict[str, str | None]:
    """A body as text, or else in base64."""
    if body is None:
        return {"body": None}
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
