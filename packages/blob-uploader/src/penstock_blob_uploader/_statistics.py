"""What an uploader has done and is doing, as numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A snapshot of the queue. Direct calls of `put` are not part of it."""

    waiting: int = 0
    """Files queued, including those between two attempts."""
    running: int = 0
    """Files being sent now."""
    created: int = 0
    """Files that made a blob."""
    same: int = 0
    """Files whose blob was there already, equal."""
    replaced: int = 0
    """Files that took the place of another blob."""
    failed: int = 0
    """Files that did not arrive: permanent errors, attempts used up, left at shutdown."""
    retries: int = 0
    """Attempts that failed and were put off; those that met a broken setup are not among them."""
    uploaded_bytes: int = 0
    """Bytes of the files that made or replaced a blob."""
    deleted: int = 0
    """Files deleted after their upload, as asked."""
    kept: int = 0
    """Files uploaded that should have been deleted and could not be."""
    resumed: int = 0
    """Files that an earlier process left in the journal."""
    paused: str | None = None
    """Why the queue waits for somebody to mend something; None when it does not."""
