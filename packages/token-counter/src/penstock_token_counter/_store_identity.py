"""Signs a counter in at its store by Entra ID, and again with each new token before the last one ends."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOG = logging.getLogger(__name__)

SCOPE = "https://redis.azure.com/.default"
"""Of Azure Managed Redis and Azure Cache for Redis (Microsoft's documentation, "Use Microsoft Entra")."""

_SHARE = 0.75
"""The part of what is left of a token after which another one is asked for; credentials may give the same again."""

_LEAST = 0.25
"""Seconds between two questions for a token, however little is left of it."""

_RETRY = 5.0
"""Seconds between two tries after one that failed."""


class AccessToken(Protocol):
    """What a credential gives."""

    @property
    def token(self) -> str:
        """The token, a JWT whose ``oid`` names the user at the store."""

    @property
    def expires_on(self) -> int:
        """When it ends, in seconds since 1970."""


class StoreCredential(Protocol):
    """An asynchronous Entra ID credential, as `azure.identity.aio` has them."""

    async def get_token(self, *scopes: str) -> AccessToken:
        """Return a token for the scopes."""


class NoTokenError(OSError):
    """Raised when the credential gives no token."""


class StoreIdentity:
    """Is asked by the client library for each new connection, and signs the old ones in with each new token.

    Args:
        credential: Gives the tokens; it is not closed.
        read: Reads a token, as the library's `JWToken`.
        errors: What the library raises.
    """

    def __init__(
        self, credential: StoreCredential, read: Callable[[str], Any], errors: tuple[type[Exception], ...]
    ) -> None:
        self._credential = credential
        self._read = read
        self._errors = errors
        self._token: Any = None
        self._ends_at = 0.0
        self._getting = asyncio.Lock()

    async def get_credentials_async(self) -> tuple[str, str]:
        """Return the user and the password of now.

        Raises:
            NoTokenError: There is none to be had.
        """
        async with self._getting:
            if time.time() >= self._ends_at:
                await self._get()
            return self._token.try_get("oid"), self._token.get_value()

    async def keep(self, sign_in: Callable[[], Awaitable[None]]) -> None:
        """Get tokens in time, and sign in with each, until cancelled."""
        wait = _LEAST
        while True:
            await asyncio.sleep(wait)
            try:
                async with self._getting:
                    await self._get()
                await sign_in()
            except self._errors as error:
                _LOG.warning("signing in at the store with a new token failed (%s)", type(error).__name__)
                wait = _RETRY
            else:
                wait = max(_LEAST, (self._ends_at - time.time()) * _SHARE)

    async def _get(self) -> None:
        """Get a token, which may be the last one again."""
        try:
            given = await self._credential.get_token(SCOPE)
            token = self._read(given.token)
        except Exception as error:  # credentials raise what they like, and this is the boundary that maps it
            raise NoTokenError(f"the credential gave no token: {type(error).__name__}") from error
        self._token, self._ends_at = token, float(given.expires_on)
