"""What is to stand where: the one value that travels from the caller to the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from penstock_blob_uploader._outcomes import Created, Replaced, Same
from penstock_blob_uploader._reading import Snapshot

SHA256 = "sha256"
LENGTH = "length"
"""Metadata keys under which every blob states what it holds."""

GZIP = "gzip"
"""The content encoding of a blob that was compressed on its way."""

Overwrite = Literal["never", "if-different", "always"]
"""What is to become of a blob that stands under the name already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A file in the state in which it was handed over, and the blob it is to become."""

    path: Path
    blob_name: str
    snapshot: Snapshot
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    content_type: str | None = None
    overwrite: Overwrite = "never"
    gzip: bool = False
    delete: bool = False
    """Whether the file goes once its blob is confirmed."""

    @property
    def key(self) -> tuple[Path, str]:
        """What is brought where."""
        return self.path, self.blob_name

    @property
    def size(self) -> int:
        """Bytes of content."""
        return self.snapshot.size

    @property
    def doing(self) -> str:
        """What is being done, for messages."""
        return f"Uploading {self.path} ({self.size} bytes) as {self.blob_name}"

    def labels(self, sha256: str) -> dict[str, str]:
        """Return the blob's metadata: the caller's, and what the blob holds."""
        return {**self.metadata, SHA256: sha256, LENGTH: str(self.size)}

    def created(self, sha256: str) -> Created:
        """Return the outcome when this order made the blob."""
        return Created(blob_name=self.blob_name, length=self.size, sha256=sha256)

    def same(self, sha256: str) -> Same:
        """Return the outcome when the blob was there already."""
        return Same(blob_name=self.blob_name, length=self.size, sha256=sha256)

    def replaced(self, sha256: str) -> Replaced:
        """Return the outcome when this order took the place of another blob."""
        return Replaced(blob_name=self.blob_name, length=self.size, sha256=sha256)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Refuse metadata the service would refuse, or that would hide ours.

    Azure's rule ("Naming and Referencing Containers, Blobs, and Metadata"): names are C# identifiers and travel as
    HTTP headers, so names and values are ASCII.

    Raises:
        ValueError: Names the key, never the value.
    """
    for key, value in metadata.items():
        if key.lower() in (SHA256, LENGTH):
            raise ValueError(f"The metadata key {key!r} is the uploader's own: it states what the blob holds.")
        if not (key.isascii() and key.isidentifier()):
            raise ValueError(f"The metadata key {key!r} is no identifier of ASCII letters, digits and underscores.")
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ValueError(f"The metadata value of {key!r} must be printable ASCII without blanks at its ends.")
