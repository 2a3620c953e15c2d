"""The Blob Storage stand-in."""

from ._faults import CorruptBody, CutRequest, SlowBody, StorageError
from ._server import Blob

__all__ = ["Blob", "CorruptBody", "CutRequest", "SlowBody", "StorageError"]
