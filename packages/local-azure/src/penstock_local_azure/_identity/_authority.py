"""A certificate authority that lives as long as the stand-ins do, and in memory but for its own certificate."""

import ssl
from pathlib import Path

import trustme

_NAMES = ("127.0.0.1", "::1", "localhost")


class Authority:
    """Certifies the stand-ins, under loopback's names and the host's.

    Args:
        host: the address the stand-ins listen on.
    """

    def __init__(self, host: str) -> None:
        self._authority = trustme.CA(organization_name="penstock-local-azure")
        self._certificate = self._authority.issue_cert(*dict.fromkeys((*_NAMES, host)))

    def server_context(self) -> ssl.SSLContext:
        """Return what a server needs to speak TLS."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._certificate.configure_cert(context)
        return context

    def write(self, path: Path) -> None:
        """Write the authority's own certificate, which clients must trust."""
        self._authority.cert_pem.write_to_path(path)
