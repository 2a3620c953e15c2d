"""The SDK's client for one resource."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import httpx2
from openai import NOT_GIVEN, AsyncAzureOpenAI, AsyncOpenAI, DefaultAioHttpClient

from ._checks import check_nothing_beside_client
from ._errors import EndpointUnavailable
from ._settings import Settings, read_settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

DEFAULT_TIMEOUT: Final = 600.0
_CONNECT_TIMEOUT: Final = 5.0


def connect(
    client: AsyncOpenAI | None,
    closing: AsyncExitStack,
    *,
    endpoint: str | None,
    api_key: str | None,
    api_version: str | None,
    credential: "AsyncTokenCredential | None",
    scope: str | None,
    http_client: httpx2.AsyncClient | None,
    timeout: float | None,
) -> AsyncOpenAI:
    """Return the client given, or one made from the other arguments; ``closing`` closes what is made here.

    The transport made is aiohttp's, which costs less CPU than the SDK's default and does not slow down with many calls
    at a time.

    Raises:
        ValueError: An argument is missing, malformed or says what another says, too.
    """
    given = {"endpoint": endpoint, "api_key": api_key, "api_version": api_version, "credential": credential}
    if client is not None:
        check_nothing_beside_client(**given, scope=scope, http_client=http_client, timeout=timeout)
        return client
    settings = read_settings(
        endpoint=endpoint,
        api_key=api_key,
        api_version=api_version,
        scope=scope,
        credential_given=credential is not None,
    )
    if http_client is None:
        timeout = DEFAULT_TIMEOUT if timeout is None else timeout
        http_client = DefaultAioHttpClient()
        closing.push_async_callback(http_client.aclose)
    key = settings.api_key or _token_provider(credential, settings.scope, closing)
    return _client(settings, key, http_client, timeout)


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
    settings: Settings,
    key: str | Callable[[], Awaitable[str]],
    http_client: httpx2.AsyncClient,
    timeout: float | None,
) -> AsyncOpenAI:
    """Build the client of the v1 route, or of the classic one if a version is given; retries are ours.

    Without a timeout that of the transport holds.
    """
    limits = NOT_GIVEN if timeout is None else httpx2.Timeout(timeout, connect=_CONNECT_TIMEOUT)
    if settings.api_version is None:
        return AsyncOpenAI(
            base_url=f"{settings.endpoint}/openai/v1/",
            api_key=key,
            max_retries=0,
            http_client=http_client,
            timeout=limits,
        )
    return AsyncAzureOpenAI(
        azure_endpoint=settings.endpoint,
        api_version=settings.api_version,
        api_key=key if isinstance(key, str) else None,
        azure_ad_token_provider=None if isinstance(key, str) else key,
        max_retries=0,
        http_client=http_client,
        timeout=limits,
    )
