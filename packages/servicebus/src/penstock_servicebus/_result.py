"""A result that is more than its body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

PropertyValue = str | bytes | int | float | bool | datetime | UUID | None
"""What an application property may be."""


@dataclass(frozen=True, slots=True)
class Result:
    """A body with what shall travel beside it; a processor may return it wherever it may return the body.

    Attributes:
        body: `str`, `bytes`, `dict`, or an object with `model_dump_json`.
        properties: Application properties; names that begin with `penstock-` are the handler's own.
        message_id: Instead of `{origin id}/{index}`. It must be the same whenever the same work is done again, or
            duplicate detection cannot remove doubles.
        session_id: The session to send to; None: that of the message itself, if it has one.
        subject: What the result is about, for a subscription's filter.
    """

    body: Any = field(repr=False)
    properties: Mapping[str, PropertyValue] = field(default_factory=dict, repr=False)
    message_id: str | None = None
    session_id: str | None = None
    subject: str | None = None
