"""What can go wrong when stand-ins start."""

import os
from errno import EADDRINUSE
from pathlib import Path


class LocalAzureError(Exception):
    """A stand-in cannot do its work."""

    permanent: bool = False
    """Whether trying again cannot help."""
    retry_after: float | None = None
    """Seconds after which trying again may help, if known."""
    environment: bool = True
    """Whether the cause lies outside of what was asked."""


class AddressUnavailable(LocalAzureError):  # noqa: N818  # the name says what is wrong without a suffix
    """A stand-in cannot listen where it was told to.

    Args:
        service: which one.
        host: the address it was to listen on.
        port: the port it was to listen on.
        error: what the operating system said.
    """

    def __init__(self, service: str, host: str, port: int, error: OSError) -> None:
        if error.errno == EADDRINUSE:
            why = f"port {port} of {host}, which is in use: end what uses it or choose another port, 0 for a free one"
        else:
            why = f"{host}, port {port}: choose another address or port ({_reason(error)})"
        super().__init__(f"{service} cannot listen on {why}.")
        self.service = service
        self.host = host
        self.port = port


class DirectoryUnavailable(LocalAzureError):  # noqa: N818  # the name says what is wrong without a suffix
    """A stand-in cannot keep things where it was told to.

    Args:
        directory: where.
        error: what the operating system or SQLite said.
    """

    def __init__(self, directory: Path, error: Exception) -> None:
        said = _reason(error) if isinstance(error, OSError) else str(error)
        super().__init__(
            f"Blob Storage cannot be kept in {directory}: choose another directory, or end what uses it ({said})."
        )
        self.directory = directory


def _reason(error: OSError) -> str:
    """Return the operating system's own words; asyncio's repeat the address, a resolver's have no number of theirs."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
