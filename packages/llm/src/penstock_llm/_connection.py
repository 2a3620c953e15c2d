"""The SDK's client for one resource, and whatever has to be closed with it."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import httpx2
from openai import AsyncAzureOpenAI, AsyncOpenAI, DefaultAioHttpClient

from ._checks import check_nothing_beside_client
from ._errors import EndpointUnavailable
from ._settings import Settings, read_settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_CONNECT_TIMEOUT = 5.0


class Connection:
    """A client, and what to close with it: only what was made here.

    Args:
        client: The SDK's client.
        closing: What to close.
    """

    def __init__(self, client: AsyncOpenAI, closing: AsyncExitStack) -> None:
        self.client = client
        self._closing = closing

    async def aclose(self) -> None:
        """Close what was made for this connection."""
        await self._closing.aclose()


def connect(
    client: AsyncOpenAI | None,
    *,
    endpoint: str | None,
    api_key: str | None,
    api_version: str | None,
    credential: "AsyncTokenCredential | None",
    scope: str | None,
    http_client: httpx2.AsyncClient | None,
    timeout: float,
) -> Connection:
    """Return a connection through the client given, or through one made from the other arguments.

    The transport made is aiohttp's, which costs less CPU than the SDK's default and does not slow down with many calls
    at a time.

    Raises:
        ValueError: An argument is missing, malformed or says what another says, too.
    """
    given = {"endpoint": endpoint, "api_key": api_key, "api_version": api_version, "credential": credential}
    closing = AsyncExitStack()
    if client is not None:
        check_nothing_beside_client(**given, scope=scope, http_client=http_client)
        return Connection(client, closing)
    settings = read_settings(
        endpoint=endpoint,
        api_key=api_key,
        api_version=api_version,
        scope=scope,
        credential_given=credential is not None,
    )
    if http_client is None:
        http_client = DefaultAioHttpClient(timeout=httpx2.Timeout(timeout, connect=_CONNECT_TIMEOUT))
        closing.push_async_callback(http_client.aclose)
    key = settings.api_key or _token_provider(credential, settings.scope, closing)
    return Connection(_client(settings, key, http_client), closing)


def _token_provider(
    credential: "AsyncTokenCredential | None", scope: str, closing: AsyncExitStack
) -> Callable[[], Awaitable[str]]:
    """Return what fetches an Entra ID token before each request; the credential caches it."""
    from azure.core.exceptions import AzureError  # noqa: PLC0415  only Entra ID needs it, and it is slow to import
    from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider  # noqa: PLC0415  likewise

    if credential is None:
        credential = DefaultAzureCredential()
        closing.push_async_callback(credential.close)
    fetch = get_bearer_token_provider(credential, scope)

    async def token() -> str:
        try:
            return await fetch()
        except AzureError as error:
            raise EndpointUnavailable(None, code="no_token", sent=False) from error

    return token


def _client(
    settings: Settings, key: str | Callable[[], Awaitable[str]], http_client: httpx2.AsyncClient
) -> AsyncOpenAI:
    """Build the client of the v1 route, or of the classic one if a version is given; retries are ours."""
    if settings.api_version is None:
        return AsyncOpenAI(
            base_url=f"{settings.endpoint}/openai/v1/", api_key=key, max_retries=0, http_client=http_client
        )
    return AsyncAzureOpenAI(
        azure_endpoint=settings.endpoint,
        api_version=settings.api_version,
        api_key=key if isinstance(key, str) else None,
        azure_ad_token_provider=None if isinstance(key, str) else key,
        max_retries=0,
        http_client=http_client,
    )
