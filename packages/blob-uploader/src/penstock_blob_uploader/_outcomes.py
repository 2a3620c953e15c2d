"""The good ends of an upload."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrived:
    blob_name: str
    """The name inside the container."""
    length: int
    """Bytes of content."""
    sha256: str
    """Hex digest of the content, as the blob's metadata states it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created(_Arrived):
    """The blob was not there and is there now, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Same(_Arrived):
    """The blob was there already, with the same length and SHA-256: an earlier attempt or run brought it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced(_Arrived):
    """Another blob stood under the name and gave way, as ``overwrite`` asked for."""


Outcome = Created | Same | Replaced
