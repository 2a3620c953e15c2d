"""What containers and blobs may be called (Microsoft, "Naming and referencing containers, blobs, and metadata")."""

import re
from typing import Final

from ._refusal import Refusal

_CONTAINER_NAME: Final = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*\Z|\$root\Z|\$logs\Z|\$web\Z")
_BLOB_NAME_LENGTH: Final = 1_024


def check_container_name(name: str) -> None:
    """Refuse a name that Azure would not take."""
    if not _CONTAINER_NAME.match(name):
        raise Refusal("InvalidResourceName", "container")


def check_blob_name(name: str) -> None:
    """Refuse a name that is empty or longer than Azure allows."""
    if not 1 <= len(name) <= _BLOB_NAME_LENGTH:
        raise Refusal("InvalidResourceName", "blob")
