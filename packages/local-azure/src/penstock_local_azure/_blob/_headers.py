"""The headers of requests and answers: conditions, ranges and descriptions read, blobs and containers described."""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Final

from ._conditions import Conditions
from ._records import Container, Description, StoredBlob
from ._refusal import Refusal

_SETTINGS: Final = {
    "Content-Type": "x-ms-blob-content-type",
    "Content-Encoding": "x-ms-blob-content-encoding",
    "Content-Language": "x-ms-blob-content-language",
    "Content-MD5": "x-ms-blob-content-md5",
    "Cache-Control": "x-ms-blob-cache-control",
    "Content-Disposition": "x-ms-blob-content-disposition",
}
_PLAIN: Final = ("Content-Type", "Content-Encoding", "Content-Language")
_DEFAULT_TYPE: Final = "application/octet-stream"
_METADATA: Final = "x-ms-meta-"
_METADATA_NAME: Final = re.compile(r"[^\W\d]\w*\Z")
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)\Z")
_MD5_BYTES: Final = 16


def description(headers: Mapping[str, str], *, whole: bool) -> Description:
    """What the request says about the blob it writes.

    Args:
        headers: The request's headers.
        whole: Whether the body is the blob: only then do the plain Content-Type, Content-Encoding and Content-Language
            describe it too, and give way to their ``x-ms-blob-`` forms.
    """
    plain = {name: value for name in _PLAIN if whole and (value := headers.get(name, ""))}
    return Description({"Content-Type": _DEFAULT_TYPE, **plain, **settings(headers)}, metadata(headers))


def settings(headers: Mapping[str, str]) -> dict[str, str]:
    """The settings of a blob that a request names by their ``x-ms-blob-`` forms."""
    found = {name: value for name, own in _SETTINGS.items() if (value := headers.get(own, ""))}
    if "Content-MD5" in found:
        md5(found["Content-MD5"])
    return found


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a request; names keep their case and must be identifiers, as Microsoft's naming rules say."""
    found = {name[len(_METADATA) :]: value for name, value in headers.items() if name.lower().startswith(_METADATA)}
    if not all(_METADATA_NAME.match(name) for name in found):
        raise Refusal("InvalidMetadata")
    return found


def md5(value: str) -> bytes:
    """The 16 bytes that an MD5 header carries in base64."""
    try:
        digest = b64decode(value, validate=True)
    except Base64Error:
        digest = b""
    if len(digest) != _MD5_BYTES:
        raise Refusal("InvalidMd5")
    return digest


def conditions(headers: Mapping[str, str]) -> Conditions:
    """The conditions of a request."""
    return Conditions(
        if_match=_etags(headers.get("If-Match", "")),
        if_none_match=_etags(headers.get("If-None-Match", "")),
        if_modified_since=_moment(headers, "If-Modified-Since"),
        if_unmodified_since=_moment(headers, "If-Unmodified-Since"),
    )


def byte_range(headers: Mapping[str, str], length: int) -> tuple[int, int] | None:
    """The bytes asked for, as start and stop (exclusive), or None for all of them.

    ``x-ms-range`` goes before ``Range``. Forms other than ``bytes=a-`` and ``bytes=a-b`` count as no range at all.

    Raises:
        Refusal: InvalidRange, when the range begins after the last of ``length`` bytes.
    """
    asked = _RANGE.match(headers.get("x-ms-range") or headers.get("Range", ""))
    if asked is None:
        return None
    start, last = int(asked[1]), int(asked[2]) if asked[2] else length - 1
    if asked[2] and last < start:
        return None
    if start >= length:
        raise Refusal("InvalidRange")
    return start, min(last + 1, length)


def of_version(etag: str, modified: float) -> dict[str, str]:
    """ETag and Last-Modified."""
    return {"ETag": etag, "Last-Modified": http_date(modified)}


def of_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata, each name with its prefix."""
    return {f"{_METADATA}{name}": value for name, value in metadata.items()}


def of_blob(blob: StoredBlob) -> dict[str, str]:
    """Everything that a read tells about a blob, but its length."""
    return {
        **of_version(blob.etag, blob.modified),
        **blob.description.settings,
        **of_metadata(blob.description.metadata),
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-creation-time": http_date(blob.created),
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
        "x-ms-server-encrypted": "true",
    }


def of_container(container: Container) -> dict[str, str]:
    """Everything that a read tells about a container."""
    return {
        **of_version(container.etag, container.modified),
        **of_metadata(container.metadata),
        "x-ms-has-immutability-policy": "false",
        "x-ms-has-legal-hold": "false",
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
    }


def http_date(moment: float) -> str:
    """Seconds since the epoch as HTTP writes them, in whole seconds."""
    return _http_date(int(moment))


@lru_cache(maxsize=1024)
def _http_date(second: int) -> str:
    """Kept, because the blobs of a listing share their seconds."""
    return formatdate(second, usegmt=True)


def _etags(value: str) -> tuple[str, ...]:
    """The ETags of a header, in quotes whether they came in quotes or not."""
    tags = (tag.strip() for tag in value.split(","))
    return tuple(tag if tag == "*" else f'"{tag.strip(chr(34))}"' for tag in tags if tag)


def _moment(headers: Mapping[str, str], name: str) -> float | None:
    """The time in a header, in seconds since the epoch."""
    if name not in headers:
        return None
    try:
        moment = parsedate_to_datetime(headers[name])
    except ValueError:
        raise Refusal("InvalidHeaderValue", name) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
