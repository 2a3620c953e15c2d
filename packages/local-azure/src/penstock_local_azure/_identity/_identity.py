"""The identity that a worker has without knowing a secret: tokens from a local service, checked by the stand-ins."""

import secrets
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Literal, Self

from penstock_local_azure._guard import Guard
from penstock_local_azure._listening import listening

from ._endpoint import TOKEN_PATH, TokenService
from ._issuer import Issuer

Service = Literal["blob", "openai", "service_bus"]

AUDIENCES: Final[dict[Service, tuple[str, ...]]] = {
    "blob": ("https://storage.azure.com",),
    "openai": ("https://cognitiveservices.azure.com", "https://ai.azure.com"),
    "service_bus": ("https://servicebus.azure.net",),
}


class Identity:
    """A managed identity, as App Service gives one to an app: an async context manager that serves its tokens.

    Plain HTTP on loopback, and a secret in a header, as there. `DefaultAzureCredential` finds it by `environment`.

    Args:
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        token_lifetime: seconds for which a token is good, at least 1. Clients of Azure renew a token ahead of time
            only if it lives for minutes; a shorter one expires in their hands.
        accept_keys: whether the stand-ins take keys beside tokens.

    Raises:
        ValueError: the lifetime is shorter.
        OSError: on entering, if the port is in use.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, token_lifetime: float = 3600.0, accept_keys: bool = False
    ) -> None:
        self._issuer = Issuer(token_lifetime)
        self._header = secrets.token_urlsafe()
        self._tokens = TokenService(self._issuer, self._header)
        self._guards = {
            service: Guard(audiences, self._issuer.check, accepts_keys=accept_keys)
            for service, audiences in AUDIENCES.items()
        }
        self._address = (host, port)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            host, port = self._address
            site = listening(self._tokens.application(), host, port)
            self._address = host, await stack.enter_async_context(site)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def guard(self, service: Service) -> Guard:
        """Return what checks the tokens shown to a service."""
        return self._guards[service]

    def refuse_next(self, service: Service, times: int = 1) -> None:
        """Have a service answer the next tokens it is shown with 401, however good they are."""
        self._guards[service].refuse_next(times)

    def token(self, resource: str, lifetime: float | None = None) -> str:
        """Issue a token by hand.

        Args:
            resource: what it is for, such as ``https://storage.azure.com``.
            lifetime: seconds, instead of the usual ones; a negative number makes an expired token.
        """
        return self._issuer.issue(resource, lifetime).text

    def environment(self) -> dict[str, str]:
        """Return the environment variables by which `DefaultAzureCredential` finds this identity, and no other."""
        host, port = self._address
        return {
            "IDENTITY_ENDPOINT": f"http://{host}:{port}{TOKEN_PATH}",
            "IDENTITY_HEADER": self._header,
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        }

    def stats(self) -> dict[str, Any]:
        """Return the account, ready for JSON: tokens issued by resource, and what each service made of those shown."""
        return {
            "issued": dict(self._tokens.issued),
            **{service: guard.stats() for service, guard in self._guards.items()},
        }
