"""What a refused creation means: our own file from an earlier attempt, or somebody else's."""

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient

from penstock_blob_uploader._errors import Conflict, TransferError
from penstock_blob_uploader._mapping import code_of
from penstock_blob_uploader._order import SHA256, Order
from penstock_blob_uploader._outcomes import Same

_NAME_TAKEN = frozenset(
    {
        "BlobAlreadyExists",
        "BlobImmutableDueToPolicy",
        "ConditionNotMet",
        "InvalidBlobType",
        "LeaseIdMissing",
        "TargetConditionNotMet",
        "UnauthorizedBlobOverwrite",
    }
)


async def compare_with_what_is_there(blob: BlobClient, order: Order, sha256: str, refusal: HttpResponseError) -> Same:
    """Return `Same` if the blob under the name has our length and hash.

    Raises:
        Conflict: It has not, or may not be looked at.
        TransferError: It went away in between.
        HttpResponseError: The creation was refused for another reason; ``refusal`` itself.
    """
    if not _is_taken(refusal):
        raise refusal
    try:
        there = await blob.get_blob_properties()
    except HttpResponseError as unseen:
        raise _unseen(unseen, order) from unseen
    stated = _stated_hash(there)
    if there.size == order.size and stated == sha256:
        return order.same(sha256)
    raise Conflict(
        f"{order.doing}: another content stands under this name ({there.size} bytes, SHA-256 {stated or 'not stated'}; "
        f"ours {sha256}); both are left as they are.",
        length=there.size,
        sha256=stated,
    ) from refusal


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


def _stated_hash(there: BlobProperties) -> str | None:
    """Return the SHA-256 a blob's metadata states; intermediaries may change the case of header names."""
    metadata: dict[str, str] = there.metadata or {}
    return next((value.lower() for key, value in metadata.items() if key.lower() == SHA256), None)
