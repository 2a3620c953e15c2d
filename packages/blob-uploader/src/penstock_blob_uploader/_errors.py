"""What can go wrong with an upload, as types that say what helps.

Every error carries the three facts by which packages of this family understand each other: ``permanent`` (asking again
cannot help), ``environment`` (not this file's fault) and ``retry_after`` (seconds the service asked us to wait).
"""

from collections.abc import Mapping

from penstock_blob_uploader._printable import printable


class UploadError(Exception):
    """A file that did not arrive, and why.

    Attributes:
        permanent: Asking again cannot help; the source file is kept.
        environment: The fault lies outside this file: service, network, rights, credentials.
        retry_after: Seconds the service asked to wait before the next request; None when it named none.
    """

    permanent: bool = False
    environment: bool = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(printable(message))
        self.retry_after = retry_after


# --- The file -------------------------------------------------------------------------------------------------------


class SourceError(UploadError):
    """The file cannot be uploaded as it is; every other file is unaffected."""

    permanent = True


class FileVanishedError(SourceError):
    """There is no file under this path, or no longer."""


class FileChangedError(SourceError):
    """The file was written to or replaced after it was handed over, so no hash would describe it."""


class FileUnreadableError(SourceError):
    """The operating system refuses to open or read the file."""


class NotAFileError(SourceError):
    """The path names a directory, a pipe, a socket or a device."""


# --- The name -------------------------------------------------------------------------------------------------------


class InvalidBlobNameError(UploadError, ValueError):
    """Blob Storage would refuse this name, or read it as another one."""

    permanent = True


class Conflict(UploadError):  # noqa: N818 - the word the service uses, and Created and Same beside it
    """Another content stands under this name; it is left alone, and so is the source file.

    Attributes:
        length: Length in bytes of the blob that is there; None when it could not be asked for.
        sha256: Hex digest its metadata states; None when it states none or could not be asked for.
        metadata: All that its metadata states, names in lower case; empty when it could not be asked for.
    """

    permanent = True

    def __init__(
        self,
        message: str,
        *,
        length: int | None = None,
        sha256: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.length = length
        self.sha256 = sha256
        self.metadata = dict(metadata or {})


# --- The service ----------------------------------------------------------------------------------------------------


class RefusedError(UploadError):
    """The service understood the request and refuses it for good."""

    permanent = True


class TransferError(UploadError):
    """The transfer broke off for a reason of its own, such as a damaged body; another attempt may succeed."""


class UnavailableError(UploadError):
    """Overloaded, failing or silent (429, 5xx, resets, timeouts; no file handles left); later attempts may succeed."""

    environment = True


class SetupError(UploadError):
    """Every upload fails until somebody mends this; the message says what. The queue waits and uses up no attempt."""

    environment = True


class AccessDeniedError(SetupError):
    """Who we are is unknown, or may not write here (401, 403, no credential)."""


class ContainerMissingError(SetupError):
    """The container does not exist."""


class AccountUnreachableError(SetupError):
    """No way to the account: unknown host, failing TLS or proxy, nothing listening, no account of this name."""


# --- The uploader ---------------------------------------------------------------------------------------------------


class UploaderClosedError(UploadError, RuntimeError):
    """The uploader is not running: not initialized yet, or already shut down."""

    permanent = True


class NotUploadedError(UploadError):
    """The uploader was shut down before this file had arrived for certain; the source file is kept."""


class JournalError(UploadError):
    """The journal cannot be used: held by another process, damaged, read-only, of another version, or its disk full."""

    environment = True
