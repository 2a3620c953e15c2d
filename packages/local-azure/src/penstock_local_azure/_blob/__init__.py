"""The Blob Storage stand-in."""

from ._server import Blob

__all__ = ["Blob"]
