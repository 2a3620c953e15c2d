"""What clients and stand-ins trust each other by: a CA's certificate one way, an identity's tokens the other."""

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from penstock_local_azure._guard import Protection

from ._authority import Authority
from ._identity import Identity, Service


class Trust:
    """A throwaway CA whose certificate is in a file, and a local identity; both as long as the block runs.

    Args:
        host: the address the stand-ins listen on.
        identity: whose tokens they take.
    """

    def __init__(self, host: str, identity: Identity) -> None:
        self.identity = identity
        self._authority = Authority(host)
        self._ssl_context = self._authority.server_context()
        self._ca_file: Path | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="penstock-local-azure-"))
            self._ca_file = Path(folder, "ca.pem")
            self._authority.write(self._ca_file)
            await stack.enter_async_context(self.identity)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def protect(self, service: Service) -> Protection:
        """Return what a stand-in has instead of a key."""
        return Protection(self._ssl_context, self.identity.guard(service))

    @property
    def ca_file(self) -> Path:
        """The CA's certificate, in PEM; only there while the block runs.

        Raises:
            RuntimeError: it has not begun.
        """
        if self._ca_file is None:
            raise RuntimeError("there is no ca_file before `async with`")
        return self._ca_file

    def environment(self) -> dict[str, str]:
        """Return the environment variables that give a process the identity, and trust in this CA and no other.

        OpenSSL's variable is read by aiohttp and httpx2, and by Penstock for Service Bus; the other one by requests, on
        which the synchronous clients of Azure rest.
        """
        ca_file = str(self.ca_file)
        return {**self.identity.environment(), "SSL_CERT_FILE": ca_file, "REQUESTS_CA_BUNDLE": ca_file}
