"""Putting a blob under its name: created if the name is free, else compared, kept or replaced as the order says."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient

from penstock_blob_uploader._errors import Conflict, TransferError
from penstock_blob_uploader._mapping import code_of
from penstock_blob_uploader._order import GZIP, LENGTH, SHA256, Order
from penstock_blob_uploader._outcomes import Outcome

Condition = Mapping[str, Any]
"""What has to hold for a write to be carried out, as the SDK's keywords."""

Write = Callable[[Condition], Awaitable[object]]

_ABSENT: Final[Condition] = {"match_condition": MatchConditions.IfMissing}
_WHATEVER: Final[Condition] = {}

_CHANGED = frozenset({"ConditionNotMet", "TargetConditionNotMet"})
_NAME_TAKEN = _CHANGED | {
    "BlobAlreadyExists",
    "BlobImmutableDueToPolicy",
    "InvalidBlobType",
    "LeaseIdMissing",
    "UnauthorizedBlobOverwrite",
}


async def place(blob: BlobClient, order: Order, sha256: str, write: Write) -> Outcome:
    """Write a blob whose content is known by its hash, so that the order's wish about a taken name is met.

    Raises:
        Conflict: Another content stands under the name and is to stay, or cannot be replaced or looked at.
        TransferError: What stands there changed in between.
        HttpResponseError: The write was refused for another reason.
    """
    try:
        await write(_ABSENT)
    except HttpResponseError as refusal:
        if not _is_taken(refusal):
            raise
        return await _place_on_taken(blob, order, sha256, write)
    return order.created(sha256)


async def _place_on_taken(blob: BlobClient, order: Order, sha256: str, write: Write) -> Outcome:
    """Find the blob to be the same, or replace it if that is wanted."""
    condition = _WHATEVER
    if order.overwrite != "always":
        there = await _look_at(blob, order)
        if _holds(there, order, sha256):
            return order.same(sha256)
        if order.overwrite == "never":
            raise _conflict(there, order, sha256)
        condition = {"etag": there.etag, "match_condition": MatchConditions.IfNotModified}
    try:
        await write(condition)
    except HttpResponseError as refusal:
        raise _not_replaced(refusal, order) from refusal
    return order.replaced(sha256)


async def _look_at(blob: BlobClient, order: Order) -> BlobProperties:
    """Ask what stands under the name."""
    try:
        return await blob.get_blob_properties()
    except HttpResponseError as unseen:
        raise _unseen(unseen, order) from unseen


def _holds(there: BlobProperties, order: Order, sha256: str) -> bool:
    """Tell whether a blob holds the content that is to stand there, compressed or not."""
    compressed = there.content_settings.content_encoding == GZIP
    length = _stated(there, LENGTH) if compressed else str(there.size)
    return length == str(order.size) and _stated(there, SHA256) == sha256


def _conflict(there: BlobProperties, order: Order, sha256: str) -> Conflict:
    """Say who stands in each other's way."""
    stated = _stated(there, SHA256)
    return Conflict(
        f"{order.doing}: another content stands under this name ({there.size} bytes, SHA-256 {stated or 'not stated'}; "
        f"ours {sha256}); both are left as they are.",
        length=there.size,
        sha256=stated,
        metadata={name.lower(): value for name, value in (there.metadata or {}).items()},
    )


def _is_taken(refusal: HttpResponseError) -> bool:
    """Tell whether the service says that a blob stands under the name."""
    code = code_of(refusal)
    return code in _NAME_TAKEN if code else refusal.status_code in (409, 412)


def _unseen(error: HttpResponseError, order: Order) -> Exception:
    """Return what it means that the blob cannot be looked at."""
    if error.status_code == 403 and code_of(error) != "AuthenticationFailed":  # noqa: PLR2004 - known, but forbidden
        return Conflict(
            f"{order.doing}: a blob stands under this name and cannot be compared, because we may only write: grant "
            "the right to read as well, and upload again."
        )
    if error.status_code == 404:  # noqa: PLR2004 - not found
        return TransferError(f"{order.doing}: the blob under this name went away while it was compared.")
    return error


def _not_replaced(refusal: HttpResponseError, order: Order) -> Exception:
    """Return what it means that the blob was not replaced."""
    code = code_of(refusal)
    if code in _CHANGED or (not code and refusal.status_code == 412):  # noqa: PLR2004 - precondition failed
        return TransferError(f"{order.doing}: the blob under this name changed while it was compared.")
    if _is_taken(refusal):
        return Conflict(
            f"{order.doing}: the blob under this name cannot be replaced ({code}); both are left as they are."
        )
    return refusal


def _stated(there: BlobProperties, key: str) -> str | None:
    """Return what a blob's metadata states; intermediaries may change the case of header names."""
    metadata: dict[str, str] = there.metadata or {}
    return next((value.lower() for name, value in metadata.items() if name.lower() == key), None)
