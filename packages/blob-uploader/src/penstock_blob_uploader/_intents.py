"""What a queue is to do, as a journal keeps it: what changes about it, and how an order is written down. Pure.

An order is one line of JSON with a checksum beside it. The database below checks its structure, not what stands in it;
a name that lost a bit would bring a file to the wrong place.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_blob_uploader._order import Order
from penstock_blob_uploader._reading import Snapshot


@dataclass(frozen=True, slots=True)
class Queued:
    """An order came in."""

    ticket: int
    order: Order


@dataclass(frozen=True, slots=True)
class PutOff:
    """An attempt failed, the so-and-so-many-th; the next one is not to come before then."""

    ticket: int
    failures: int
    not_before: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """The blob is confirmed; what is left to do is to delete the file."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to do."""

    ticket: int


Change = Queued | PutOff | Arrived | Finished


@dataclass(frozen=True, slots=True)
class Intent:
    """An order as it stands, the sum of its changes."""

    ticket: int
    order: Order
    failures: int
    not_before: float
    arrived: bool


def written(order: Order) -> tuple[str, int]:
    """Return an order as text, and the text's checksum."""
    snapshot = order.snapshot
    text = json.dumps(
        {
            "path": str(order.path),
            "blob_name": order.blob_name,
            "size": snapshot.size,
            "mtime_ns": snapshot.mtime_ns,
            "inode": snapshot.inode,
            "metadata": dict(order.metadata),
            "content_type": order.content_type,
            "overwrite": order.overwrite,
            "gzip": order.gzip,
            "delete": order.delete,
        }
    )
    return text, zlib.crc32(text.encode())


def read(text: str, checksum: int) -> Order:
    """Return the order that `written` was given; fields this version does not know are ignored.

    Raises:
        ValueError: It is not as it was written.
    """
    if zlib.crc32(text.encode()) != checksum:
        raise ValueError("the checksum of an order is wrong")
    fields: dict[str, Any] = json.loads(text)
    return Order(
        path=Path(fields["path"]),
        blob_name=fields["blob_name"],
        snapshot=Snapshot(size=fields["size"], mtime_ns=fields["mtime_ns"], inode=fields["inode"]),
        metadata=fields["metadata"],
        content_type=fields["content_type"],
        overwrite=fields["overwrite"],
        gzip=fields["gzip"],
        delete=fields["delete"],
    )
