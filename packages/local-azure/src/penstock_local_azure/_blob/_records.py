"""What the store keeps: containers, committed blobs, and blocks waiting to be committed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ._content import Content


class BlockSource(StrEnum):
    """Where a block named in a block list is to be found; the values are the list's XML element names."""

    COMMITTED = "Committed"
    UNCOMMITTED = "Uncommitted"
    LATEST = "Latest"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a blob: its id, in base64 as the client sent it, and its bytes."""

    id: str
    content: Content


@dataclass(frozen=True, slots=True)
class BlockChoice:
    """One line of a block list: which block, and where to look for it."""

    id: str
    source: BlockSource


@dataclass(frozen=True, slots=True)
class Description:
    """What a client says about a blob beside its bytes.

    Attributes:
        settings: Content-Type, Content-Encoding, Content-Language, Content-MD5, Cache-Control and
            Content-Disposition, as far as given, under these names.
        metadata: Names, in the case they were sent in, and values.
    """

    settings: dict[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A committed block blob, one version of it.

    Attributes:
        content: Its bytes.
        description: What its writer said about it.
        etag: Its version, in quotes.
        created: Seconds since the epoch of the write that its bytes came with.
        modified: Seconds since the epoch of this version.
        blocks: The blocks it was committed from; empty when it came in one request.
    """

    content: Content
    description: Description
    etag: str
    created: float
    modified: float
    blocks: tuple[Block, ...] = ()


@dataclass(slots=True, kw_only=True)
class Container:
    """A container and all it holds. The store alone changes it.

    Attributes:
        name: Its name.
        metadata: Names and values it was given.
        etag: Its version, in quotes.
        modified: Seconds since the epoch of its creation, or of the last change of its metadata.
        blobs: The committed blobs by name.
        names: The same names, sorted: what a listing walks along.
        staged: Blocks not committed yet: by blob name, then by block id.
    """

    name: str
    metadata: Mapping[str, str]
    etag: str
    modified: float
    blobs: dict[str, StoredBlob] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    staged: dict[str, dict[str, Block]] = field(default_factory=dict)
