"""The SDK client: who asks, and how it behaves under load and trouble."""

import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry

from penstock_blob_uploader._mapping import retry_after_of
from penstock_blob_uploader._settings import Target

if TYPE_CHECKING:
    from azure.core.credentials import AzureSasCredential
    from azure.core.credentials_async import AsyncTokenCredential

    Credential = str | AzureNamedKeyCredential | AzureSasCredential | AsyncTokenCredential

SINGLE_PUT = 4 * 1024**2
"""Bytes up to which a file is sent in one request, and the size of the blocks of larger ones."""

_ASKED = "penstock_asked"
"""The key, in the SDK's account of one request, of the seconds the service asked to wait."""

_ABOUT_PROXIES = frozenset({"transport", "proxies", "use_env_settings"})
"""Options by which a user decides about proxies."""

_WORTH_WAITING_HERE = 4.0
"""Seconds a service may ask for before the SDK's own retries give way to the queue's."""


class ShortRetry(ExponentialRetry):
    """The SDK's own retries, for the first seconds of trouble only: after about 1, 3 and 5 s.

    A service that asks for more patience gets it from the queue, which waits without holding a file in memory.
    """

    def __init__(self) -> None:
        super().__init__(
            initial_backoff=1,
            increment_base=2,
            random_jitter_range=1,  # the default of 3 would drown the backoff
            retry_total=3,
            retry_connect=1,  # an address that does not answer is reported soon; the queue asks again
        )

    def increment(self, settings: dict[str, Any], request: Any, response: Any = None, error: Any = None) -> bool:  # noqa: ANN401 - the SDK's signature
        """Count a failed attempt; tell whether another one is worth it here."""
        asked = None if response is None else retry_after_of(response.headers)
        settings[_ASKED] = asked or 0.0
        return settings[_ASKED] <= _WORTH_WAITING_HERE and bool(super().increment(settings, request, response, error))

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        """Return the seconds to wait: the SDK's own, and not less than what the service asked for."""
        asked: float = settings.get(_ASKED, 0.0)
        return max(super().get_backoff_time(settings), asked + random.uniform(0, min(asked, 1)))  # noqa: S311 - a jitter


async def open_client(
    target: Target, *, credential: "Credential | None", options: Mapping[str, Any], resources: AsyncExitStack
) -> BlobServiceClient:
    """Make the one client of an uploader; ``resources`` closes it, and the credential if it is ours.

    Args:
        target: The account, by URL or connection string.
        credential: What proves who we are, unless URL or connection string do.
        options: Passed on to the SDK, over ours.
        resources: Gets everything that has to be closed.

    Raises:
        ValueError: The SDK cannot use these settings.
    """
    settings: dict[str, Any] = {
        "max_single_put_size": SINGLE_PUT,
        "max_block_size": SINGLE_PUT,
        "retry_policy": ShortRetry(),
        "connection_timeout": 20,
        "read_timeout": 60,
        **options,
    }
    if target.account_url and credential is None and not urlsplit(target.account_url).query:
        credential = await resources.enter_async_context(_default_credential())
    client = _made(target, credential, settings)
    if not options.keys() & _ABOUT_PROXIES:
        proxies = environment_proxies(client.url)
        client = _made(target, credential, {**settings, "use_env_settings": False, "proxies": proxies})
    return await resources.enter_async_context(client)


def renew_key(client: BlobServiceClient, credential: "Credential | None") -> None:
    """Let a client sign with the key that a credential holds now; the SDK's own looks at it once, when it is made."""
    if isinstance(credential, AzureNamedKeyCredential):
        client.credential.account_name, client.credential.account_key = credential.named_key


def environment_proxies(url: str) -> dict[str, str]:
    """Return the proxy that the environment names for this account, by scheme; none if it excepts the host.

    It is looked up once, because aiohttp would do so in two threads at every request, which costs a tenth of its time.
    """
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    return {parts.scheme: proxy} if proxy and not proxy_bypass(parts.hostname or "") else {}


def refuse_token_in_the_clear(target: Target, credential: "Credential | None") -> None:
    """Refuse to send a token over plain HTTP, which the SDK would refuse at every request.

    Raises:
        ValueError: Names the argument and the variable.
    """
    parts = urlsplit(target.account_url or "")
    uses_token = hasattr(credential, "get_token") or (credential is None and not parts.query)
    if parts.scheme == "http" and uses_token:
        raise ValueError(
            "account_url (AZURE_STORAGE_ACCOUNT) is plain http, over which no token is sent: use https, or an account "
            "key or SAS as credential=."
        )


def _made(target: Target, credential: "Credential | None", settings: dict[str, Any]) -> BlobServiceClient:
    """Make a client, which opens nothing yet."""
    if target.connection_string is not None:
        return _from_connection_string(target.connection_string, credential, settings)
    return BlobServiceClient(target.account_url or "", credential=credential, **settings)


def _from_connection_string(text: str, credential: "Credential | None", settings: dict[str, Any]) -> BlobServiceClient:
    """Read a connection string; never quote it."""
    try:
        return BlobServiceClient.from_connection_string(text, credential=credential, **settings)
    except ValueError as error:
        raise ValueError(
            "connection_string (AZURE_STORAGE_CONNECTION_STRING) is malformed: it needs AccountName and AccountKey, "
            "or BlobEndpoint and SharedAccessSignature."
        ) from error


def _default_credential() -> "AsyncTokenCredential":
    """Find a credential in the surroundings; imported on use because it is slow to import."""
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - see above

    return DefaultAzureCredential()
