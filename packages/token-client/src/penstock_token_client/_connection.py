"""The HTTP between a client and its counter: one session, and one place where foreign errors become facts."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_log = logging.getLogger(__name__)

_PASSING = frozenset({408, 429, 502, 503, 504})
"""Statuses of a counter that restarts, or of a proxy in front of it."""


class AccessToken(Protocol):
    """What a credential gives."""

    @property
    def token(self) -> str:
        """The bearer token."""


class Credential(Protocol):
    """An asynchronous Entra ID credential, as `azure.identity.aio` has them."""

    async def get_token(self, *scopes: str) -> AccessToken:
        """Return a token for the scopes."""


class CallError(Exception):
    """Why the counter gave no answer; stays inside this package.

    Attributes:
        passing: Whether it may go away by itself.
        broken: Whether the connection could not be made or broke, so that trying again takes no time.
        status: The HTTP status, if there was one.
    """

    def __init__(self, message: str, *, passing: bool = False, broken: bool = False, status: int | None = None) -> None:
        super().__init__(f"Client error: {message}")
        self.passing = passing or broken
        self.broken = broken
        self.status = status


class Connection:
    """Calls a counter, and says once when it went away and once when it came back.

    Args:
        base_url: The counter's address.
        path: The path below it that names the pool.
        timeout: Seconds for connecting, and for an answer beyond the time it may be held back.
        key: The counter's key.
        credential: Gives tokens for ``scope`` instead.
    """

    def __init__(
        self,
        base_url: str,
        path: str,
        *,
        timeout: float,
        key: str | None = None,
        credential: Credential | None = None,
        scope: str = "",
    ) -> None:
        self.base_url = base_url
        self.timeout = timeout
        self._root = base_url + path
        self._key = key
        self._credential = credential
        self._scope = scope
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._away = False

    async def post(
        self,
        call: str,
        message: Mapping[str, Any],
        *,
        held: float = 0.0,
        within: float | None = None,
        on_headers: Callable[[Mapping[str, str]], None] | None = None,
    ) -> dict[str, Any]:
        """Send a message and return the answer.

        Args:
            call: The last part of the path.
            message: The JSON to send.
            held: Seconds for which the counter may hold the answer back.
            within: Seconds after which the answer is not awaited any more, if that is sooner.
            on_headers: Is told the headers of the answer, which may come long before its body.

        Raises:
            CallError: There was no answer, or not one that can be read.
        """
        total = held + self.timeout if within is None else min(held + self.timeout, within)
        return await self._call("POST", call, total, message, on_headers)

    async def get(self, call: str) -> dict[str, Any]:
        """Fetch an answer.

        Raises:
            CallError: There was none, or not one that can be read.
        """
        return await self._call("GET", call, self.timeout, None)

    async def aclose(self) -> None:
        """Close the session; calls after this fail."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _call(
        self,
        method: str,
        call: str,
        total: float,
        message: Mapping[str, Any] | None,
        on_headers: Callable[[Mapping[str, str]], None] | None = None,
    ) -> dict[str, Any]:
        """Make one call, and notice when the counter comes and goes."""
        try:
            answer = await self._exchange(method, call, total, message, on_headers)
        except CallError as fault:
            if not self._away:
                _log.warning("no answer from the token counter at %s: %s", self.base_url, fault)
            self._away = True
            raise
        if self._away:
            _log.info("the token counter at %s answers again", self.base_url)
        self._away = False
        return answer

    async def _exchange(
        self,
        method: str,
        call: str,
        total: float,
        message: Mapping[str, Any] | None,
        on_headers: Callable[[Mapping[str, str]], None] | None,
    ) -> dict[str, Any]:
        """Send, receive, and turn whatever goes wrong into a `CallError`."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self.timeout)
        try:
            async with asyncio.timeout(total):  # for all of it: a credential may take for ever, too
                headers = await self._authorization()
                async with self._open_session().request(
                    method, f"{self._root}/{call}", json=message, headers=headers, timeout=limits
                ) as response:
                    if response.status != HTTPStatus.OK:
                        raise await _refusal(response)
                    if on_headers is not None:
                        on_headers(response.headers)
                    answer = await response.json()
        except aiohttp.ContentTypeError as error:
            raise CallError(f"{error.status}, {error.message}", status=error.status) from error
        except TimeoutError as error:
            raise CallError(f"no answer within {total:.1f} s", passing=True) from error
        except aiohttp.ClientError as error:
            raise CallError(str(error) or type(error).__name__, broken=True) from error
        except (ValueError, RecursionError) as error:
            raise CallError(f"the answer is not JSON: {error}", status=HTTPStatus.OK) from error
        if not isinstance(answer, dict):
            raise CallError("the answer is not a JSON object", status=HTTPStatus.OK)
        return answer

    def _open_session(self) -> aiohttp.ClientSession:
        """Return the session; it has no limit of connections, so that a report never queues behind polls."""
        if self._closed:
            raise CallError("this client was closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def _authorization(self) -> dict[str, str]:
        """Return the header that says who asks."""
        if self._credential is None:
            return {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            token = await self._credential.get_token(self._scope)
        except Exception as error:  # credentials raise what they like, and this is the boundary that maps it
            raise CallError(f"the credential gave no token: {type(error).__name__}") from error
        return {"Authorization": f"Bearer {token.token}"}


async def _refusal(response: aiohttp.ClientResponse) -> CallError:
    """Say which status came back, and why if the counter says so in its own words."""
    return CallError(
        f"the token counter answered {response.status}{await _reason(response)}",
        passing=response.status in _PASSING,
        status=response.status,
    )


async def _reason(response: aiohttp.ClientResponse) -> str:
    """Return what a refusal says; nothing where it is no message, so that the status still counts."""
    try:
        body = await response.json()
    except (aiohttp.ContentTypeError, ValueError, RecursionError):
        return ""
    if not isinstance(body, dict) or not isinstance(body.get("message"), str):
        return ""
    return f": {body['message'][:200]}"
