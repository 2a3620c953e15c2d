"""The id rule: which message descends from which, and under what names copies and results travel.

Duplicate detection drops a message whose id was seen before. So a retry copy must never repeat an id (or work would be
swallowed), and the results of the same work must always repeat theirs (so that doubles are removed).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

ORIGIN_ID = "penstock-origin-id"
ATTEMPT = "penstock-attempt"
ENQUEUED = "penstock-enqueued"
RESUBMITTED = "penstock-resubmitted"

MAX_ID_LENGTH = 128
"""Longest message id Service Bus accepts, in characters
(learn.microsoft.com, Service Bus quotas: "Message ID ... 128")."""

_ROOM_FOR_SUFFIX = 16  # "#r" or "/" and a number


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a received message is, independent of how often it was tried."""

    message_id: str
    """The id of this very message; derived from its sequence number if the sender gave none."""

    origin_id: str
    """The id of the message that all copies of this work descend from."""

    copies: int
    """How many copies came before: 0 for the origin. It numbers the ids, so it only ever grows."""

    enqueued_ms: int | None
    """When the origin was first enqueued, in milliseconds since the Unix epoch."""

    resubmitted: int = 0
    """Which copy somebody resubmitted last, if any: attempts count anew from there."""

    @property
    def attempt(self) -> int:
        """How many attempts were spent before: 0 for the origin, and for what has just been resubmitted."""
        return self.copies - self.resubmitted

    @property
    def stem(self) -> str:
        """The start of every id derived from this origin: its id, or that id's SHA-256 where a suffix would not fit."""
        if len(self.origin_id) + _ROOM_FOR_SUFFIX <= MAX_ID_LENGTH:
            return self.origin_id
        return hashlib.sha256(self.origin_id.encode("utf-8", "surrogatepass")).hexdigest()

    def result_id(self, index: int) -> str:
        """The id of this work's result number `index`, the same however often the work is done."""
        return f"{self.stem}/{index}"

    def next_copy(self) -> "Identity":
        """The identity under which this work is tried once more."""
        copies = self.copies + 1
        return replace(self, message_id=_copy_id(self.stem, copies), copies=copies)

    def resubmission(self) -> "Identity":
        """The identity under which this work begins anew, with all its attempts."""
        copy = self.next_copy()
        return replace(copy, resubmitted=copy.copies)


def identify(
    *,
    queue: str,
    message_id: str | None,
    sequence_number: int | None,
    enqueued_ms: int | None,
    properties: Mapping[str, object],
) -> Identity:
    """Read a message's identity.

    Only a message that bears a copy's id is a copy. Anything else starts a line of its own, also when it carries our
    properties because another stage sent it as a result: two results of one origin are two different works.
    """
    own_id = message_id or f"{queue}:{sequence_number}"
    origin, copies = properties.get(ORIGIN_ID), properties.get(ATTEMPT)
    fresh = Identity(own_id, own_id, 0, enqueued_ms)
    if not isinstance(origin, str) or not isinstance(copies, int) or copies < 1:
        return fresh
    first_enqueued, resubmitted = properties.get(ENQUEUED), properties.get(RESUBMITTED)
    copy = Identity(
        own_id,
        origin,
        copies,
        first_enqueued if isinstance(first_enqueued, int) else enqueued_ms,
        resubmitted if isinstance(resubmitted, int) and 0 < resubmitted <= copies else 0,
    )
    return copy if own_id == _copy_id(copy.stem, copies) else fresh


def _copy_id(stem: str, copies: int) -> str:
    """The id of a copy that so many others came before, the origin included."""
    return f"{stem}#r{copies}"
