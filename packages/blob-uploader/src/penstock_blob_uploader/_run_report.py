"""What a run of the command tells: of each file how it ended, and of all together."""

from dataclasses import dataclass
from pathlib import Path

from penstock_blob_uploader._errors import UploadError
from penstock_blob_uploader._outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended with one file."""

    path: Path
    ending: str
    """``created``, ``same``, ``replaced``, ``failed``, ``left`` or, for a link to a directory, ``skipped``."""
    blob_name: str | None = None
    outcome: Outcome | None = None
    error: UploadError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How it ended with all of them, those included that a journal brought."""

    status: int
    """The exit status."""
    created: int
    same: int
    replaced: int
    failed: int
    left: int
    """Files that a run of the same command would bring, or try to."""
    skipped: int
    deleted: int
    kept: int
    """Files that arrived and could not be deleted."""
    sent_bytes: int
    seconds: float
    remedy: str | None
    """What must be mended."""
