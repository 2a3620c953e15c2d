"""The XML of the Blob stand-in, read back by a parser that is not ours."""

from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_local_azure._blob import _xml
from penstock_local_azure._blob._content import Content
from penstock_local_azure._blob._listing import Page, Query
from penstock_local_azure._blob._records import BlockChoice, BlockSource, Description, StoredBlob
from penstock_local_azure._blob._refusal import Refusal

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=20)


def stored(data: bytes = b"", **metadata: str) -> StoredBlob:
    described = Description({"Content-Type": "text/plain; a=<b>"}, metadata)
    return StoredBlob(content=Content(data), description=described, etag='"0x1"', created=0.0, modified=0.0)


@given(st.lists(names, unique=True), names, names)
def test_any_name_survives_a_listing(listed: list[str], prefix: str, marker: str) -> None:
    query = Query(prefix=prefix, delimiter="/", marker=marker, limit=7)
    page = Page(names=listed, prefixes=[f"{prefix}/"], next_marker=marker)
    document = _xml.blobs("http://a/", "logs", query, page, dict.fromkeys(listed, stored()), metadata=False)
    root = ET.fromstring(document)  # noqa: S314  # our own document
    assert sorted(_named(one) for one in root.iterfind("Blobs/Blob")) == sorted(listed)
    assert [_named(one) for one in root.iterfind("Blobs/BlobPrefix")] == [f"{prefix}/"]
    assert [unquote(root.findtext(tag, "")) for tag in ("Marker", "NextMarker")] == [marker, marker]


def test_a_blob_is_listed_with_all_that_a_read_tells() -> None:
    page = Page(names=["a"])
    document = _xml.blobs("e", "logs", Query(), page, {"a": stored(b"12345", Note="x & y")}, metadata=True)
    blob = ET.fromstring(document).find("Blobs/Blob")  # noqa: S314  # our own document
    assert blob is not None
    assert {one.tag: one.text for one in blob.iterfind("Properties/*")} == {
        "Creation-Time": "Thu, 01 Jan 1970 00:00:00 GMT",
        "Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT",
        "Etag": "0x1",
        "Content-Length": "5",
        "Content-Type": "text/plain; a=<b>",
        "BlobType": "BlockBlob",
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
        "ServerEncrypted": "true",
    }
    assert [(one.tag, one.text) for one in blob.iterfind("Metadata/*")] == [("Note", "x & y")]


def test_a_block_list_keeps_its_order() -> None:
    body = b"<BlockList><Latest>MDAx</Latest><Committed> MDAw </Committed><Uncommitted>MDAx</Uncommitted></BlockList>"
    assert _xml.parse_block_list(body) == [
        BlockChoice("MDAx", BlockSource.LATEST),
        BlockChoice("MDAw", BlockSource.COMMITTED),
        BlockChoice("MDAx", BlockSource.UNCOMMITTED),
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"<BlockList>", b"<Blocks/>", b"<BlockList><Other>MDAx</Other></BlockList>", b"\xff\xfe<"],
)
def test_anything_else_is_no_block_list(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        _xml.parse_block_list(body)
    assert caught.value.code == "InvalidXmlDocument"


def _named(entry: ET.Element) -> str:
    name = entry.find("Name")
    assert name is not None
    assert name.text is not None
    return unquote(name.text) if name.get("Encoded") == "true" else name.text
