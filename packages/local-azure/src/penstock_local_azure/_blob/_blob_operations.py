"""The operations on blobs and their blocks, from request to answer."""

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from . import _headers, _sas, _xml
from ._answers import Answer, document
from ._body import announced, receive, receive_document
from ._call import Call
from ._records import Block, StoredBlob
from ._refusal import Refusal
from ._store import Store

# Microsoft, "Scalability and performance targets for Blob Storage", version 2019-12-12 or later.
_MAX_BLOB: Final = 5_000 * 1024**2
_MAX_BLOCK: Final = 4_000 * 1024**2
_MAX_BLOCK_LIST: Final = 8 * 1024**2  # 50,000 lines of the longest id
_MAX_BLOCK_ID: Final = 64
_MAX_RANGE_WITH_MD5: Final = 4 * 1024**2


async def put_blob(store: Store, call: Call) -> Answer:
    """Put Blob: the body is the blob, and its MD5 is kept with it."""
    headers = call.request.headers
    if "x-ms-blob-type" not in headers:
        raise Refusal("MissingRequiredHeader", "x-ms-blob-type")
    store.container(call.container)  # refused before the body, not after
    described = _headers.description(headers, whole=True)
    writer = store.writer(announced(call, limit=_MAX_BLOB))
    body = await receive(call, writer, md5_headers=("Content-MD5", "x-ms-blob-content-md5"), always_md5=True)
    described.settings.update(body.headers)
    blob = store.put_blob(call.container, call.blob, body.content, described, _headers.conditions(headers))
    return _created({**body.headers, **_headers.of_version(blob.etag, blob.modified)})


async def put_block(store: Store, call: Call) -> Answer:
    """Put Block: the body is a block, staged until a block list names it. Its MD5 is told if it was given."""
    block_id = _block_id(call.required("blockid"))
    store.container(call.container)
    body = await receive(call, store.writer(announced(call, limit=_MAX_BLOCK)))
    store.put_block(call.container, call.blob, Block(block_id, body.content))
    return _created(body.headers)


async def put_block_list(store: Store, call: Call) -> Answer:
    """Put Block List: the staged and committed blocks named become the blob."""
    headers = call.request.headers
    described = _headers.description(headers, whole=False)
    body = await receive_document(call, limit=_MAX_BLOCK_LIST)
    choices = _xml.parse_block_list(bytes(body.content))
    blob = store.put_block_list(call.container, call.blob, choices, described, _headers.conditions(headers))
    return _created({**body.headers, **_headers.of_version(blob.etag, blob.modified)})


async def get_block_list(store: Store, call: Call) -> Answer:
    """Get Block List: the committed blocks, unless told otherwise."""
    kind = call.query.get("blocklisttype", "committed").lower()
    if kind not in {"committed", "uncommitted", "all"}:
        raise Refusal("InvalidQueryParameterValue", "blocklisttype")
    blob = store.container(call.container).blobs.get(call.blob)
    staged, committed = store.blocks(call.container, call.blob)
    if blob is None and not staged:
        raise Refusal("BlobNotFound")
    version = {} if blob is None else _headers.of_version(blob.etag, blob.modified)
    return document(
        _xml.block_list(committed if kind != "uncommitted" else None, staged if kind != "committed" else None),
        {**version, "x-ms-blob-content-length": str(blob.content.length if blob else 0)},
    )


async def get_blob(store: Store, call: Call) -> Answer:
    """Get Blob: all of it, or a range."""
    headers = call.request.headers
    blob = store.blob(call.container, call.blob, _headers.conditions(headers))
    described = {**_headers.of_blob(blob), **_sas.overrides(call.sas)}
    span = _headers.byte_range(headers, blob.content.length)
    if span is None:
        return Answer(headers=described, content=blob.content)
    with_md5 = headers.get("x-ms-range-get-content-md5") == "true"
    return Answer(
        status=206, headers=_of_range(described, blob, span, with_md5=with_md5), content=blob.content, span=span
    )


async def get_blob_properties(store: Store, call: Call) -> Answer:
    """Get Blob Properties: what Get Blob tells, without the bytes."""
    blob = store.blob(call.container, call.blob, _headers.conditions(call.request.headers))
    described = {**_headers.of_blob(blob), **_sas.overrides(call.sas)}
    return Answer(headers={**described, "Content-Length": str(blob.content.length)})


async def get_blob_metadata(store: Store, call: Call) -> Answer:
    """Get Blob Metadata."""
    blob = store.blob(call.container, call.blob, _headers.conditions(call.request.headers))
    return Answer(headers={**_version(blob), **_headers.of_metadata(blob.description.metadata)})


async def set_blob_metadata(store: Store, call: Call) -> Answer:
    """Set Blob Metadata: what is given takes the place of all there was."""
    headers = call.request.headers
    metadata = _headers.metadata(headers)
    blob = store.describe_blob(
        call.container, call.blob, lambda before: replace(before, metadata=metadata), _headers.conditions(headers)
    )
    return Answer(headers={**_version(blob), "x-ms-request-server-encrypted": "true"})


async def set_blob_properties(store: Store, call: Call) -> Answer:
    """Set Blob Properties: a setting that is not given is cleared."""
    headers = call.request.headers
    settings = _headers.settings(headers)
    blob = store.describe_blob(
        call.container, call.blob, lambda before: replace(before, settings=settings), _headers.conditions(headers)
    )
    return Answer(headers=_version(blob))


async def delete_blob(store: Store, call: Call) -> Answer:
    """Delete Blob."""
    store.delete_blob(call.container, call.blob, _headers.conditions(call.request.headers))
    return Answer(status=202, headers={"x-ms-delete-type-permanent": "true"})


def _version(blob: StoredBlob) -> dict[str, str]:
    return _headers.of_version(blob.etag, blob.modified)


def _created(headers: Mapping[str, str]) -> Answer:
    """The answer to a write."""
    return Answer(status=201, headers={**headers, "x-ms-request-server-encrypted": "true"})


def _of_range(
    described: Mapping[str, str], blob: StoredBlob, span: tuple[int, int], *, with_md5: bool
) -> dict[str, str]:
    """Say which bytes these are; Content-MD5 is then the range's, if asked for, and the blob's own moves aside."""
    start, stop = span
    headers = {**described, "Content-Range": f"bytes {start}-{stop - 1}/{blob.content.length}"}
    if (whole := headers.pop("Content-MD5", None)) is not None:
        headers["x-ms-blob-content-md5"] = whole
    if with_md5:
        if stop - start > _MAX_RANGE_WITH_MD5:
            raise Refusal("InvalidHeaderValue", "x-ms-range-get-content-md5")
        digest = hashlib.md5(usedforsecurity=False)
        for piece in blob.content.slices(start, stop):
            digest.update(piece)
        headers["Content-MD5"] = b64encode(digest.digest()).decode()
    return headers


def _block_id(value: str) -> str:
    """A block's id, if it is base64 of at most 64 bytes."""
    try:
        decoded = b64decode(value, validate=True)
    except Base64Error:
        raise Refusal("InvalidQueryParameterValue", "blockid") from None
    if not 1 <= len(decoded) <= _MAX_BLOCK_ID:
        raise Refusal("OutOfRangeInput", "blockid")
    return value
