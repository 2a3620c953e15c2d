"""The XML of Blob Storage: listings, block lists and errors written, block lists read.

Listings are written as text, not as a tree: a page of 5,000 blobs is a matter of milliseconds.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from ._headers import http_date
from ._listing import Page, Query
from ._records import Block, BlockChoice, BlockSource, Container, StoredBlob
from ._refusal import Refusal

_HEAD: Final = '<?xml version="1.0" encoding="utf-8"?>'
_UNFIT: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LEASE: Final = "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"


def blobs(
    endpoint: str, container: str, query: Query, page: Page, found: Mapping[str, StoredBlob], *, metadata: bool
) -> str:
    """A page of List Blobs, blobs and folded prefixes in one order."""
    entries = {name: _blob(name, blob, metadata=metadata) for name, blob in found.items()}
    entries |= {prefix: f"<BlobPrefix>{_name(prefix)}</BlobPrefix>" for prefix in page.prefixes}
    inner = f"<Blobs>{''.join(entries[name] for name in sorted(entries))}</Blobs>"
    return _enumeration(f'ServiceEndpoint="{_text(endpoint)}" ContainerName="{_text(container)}"', query, page, inner)


def containers(endpoint: str, query: Query, page: Page, found: Iterable[Container], *, metadata: bool) -> str:
    """A page of List Containers."""
    inner = f"<Containers>{''.join(_container(one, metadata=metadata) for one in found)}</Containers>"
    return _enumeration(f'ServiceEndpoint="{_text(endpoint)}"', query, page, inner)


def block_list(committed: Iterable[Block] | None, uncommitted: Iterable[Block] | None) -> str:
    """Get Block List's answer; None leaves out the kind that was not asked for."""
    kinds = {"CommittedBlocks": committed, "UncommittedBlocks": uncommitted}
    inner = "".join(
        f"<{kind}>{''.join(_block(block) for block in blocks)}</{kind}>"
        for kind, blocks in kinds.items()
        if blocks is not None
    )
    return f"{_HEAD}<BlockList>{inner}</BlockList>"


def error(code: str, message: str) -> str:
    """The body of an answer other than success."""
    return f"{_HEAD}<Error><Code>{code}</Code><Message>{_text(message)}</Message></Error>"


def parse_block_list(body: bytes) -> list[BlockChoice]:
    """The lines of a Put Block List, in their order.

    Raises:
        Refusal: InvalidXmlDocument, for anything but a BlockList of Committed, Uncommitted and Latest.
    """
    try:
        root = ET.fromstring(body)  # noqa: S314  # the sender holds the account's key, and expat bounds expansion
        if root.tag != "BlockList":
            raise Refusal("InvalidXmlDocument")
        return [BlockChoice((line.text or "").strip(), BlockSource(line.tag)) for line in root]
    except (ET.ParseError, ValueError):
        raise Refusal("InvalidXmlDocument") from None


def _enumeration(attributes: str, query: Query, page: Page, inner: str) -> str:
    """A page of any listing. Markers, which clients only hand back, are percent-encoded: they may be any name."""
    asked = {"Prefix": query.prefix, "Marker": quote(query.marker), "Delimiter": query.delimiter}
    echo = "".join(f"<{tag}>{_text(value)}</{tag}>" for tag, value in asked.items() if value)
    return (
        f"{_HEAD}<EnumerationResults {attributes}>{echo}<MaxResults>{query.limit}</MaxResults>"
        f"{inner}<NextMarker>{quote(page.next_marker)}</NextMarker></EnumerationResults>"
    )


def _blob(name: str, blob: StoredBlob, *, metadata: bool) -> str:
    settings = "".join(f"<{tag}>{_text(value)}</{tag}>" for tag, value in blob.description.settings.items())
    return (
        f"<Blob>{_name(name)}<Properties><Creation-Time>{http_date(blob.created)}</Creation-Time>"
        f"{_version(blob)}<Content-Length>{blob.content.length}</Content-Length>{settings}"
        f"<BlobType>BlockBlob</BlobType>{_LEASE}<ServerEncrypted>true</ServerEncrypted></Properties>"
        f"{_metadata(blob.description.metadata) if metadata else ''}</Blob>"
    )


def _container(container: Container, *, metadata: bool) -> str:
    return (
        f"<Container><Name>{container.name}</Name><Properties>{_version(container)}{_LEASE}"
        f"<HasImmutabilityPolicy>false</HasImmutabilityPolicy><HasLegalHold>false</HasLegalHold></Properties>"
        f"{_metadata(container.metadata) if metadata else ''}</Container>"
    )


def _version(one: StoredBlob | Container) -> str:
    """Last-Modified and Etag; unlike in headers, the ETag stands without quotes."""
    return f"<Last-Modified>{http_date(one.modified)}</Last-Modified><Etag>{one.etag.strip(chr(34))}</Etag>"


def _block(block: Block) -> str:
    return f"<Block><Name>{_text(block.id)}</Name><Size>{block.content.length}</Size></Block>"


def _metadata(metadata: Mapping[str, str]) -> str:
    return f"<Metadata>{''.join(f'<{name}>{_text(value)}</{name}>' for name, value in metadata.items())}</Metadata>"


def _name(name: str) -> str:
    """A blob's name; one with characters that XML cannot carry is percent-encoded, and says so."""
    return f'<Name Encoded="true">{quote(name)}</Name>' if _UNFIT.search(name) else f"<Name>{_text(name)}</Name>"


def _text(value: str) -> str:
    """A value as text. A bare carriage return would reach the reader as a line feed, an unfit character not at all."""
    return _UNFIT.sub("\ufffd", escape(value)).replace("\r", "&#13;")
