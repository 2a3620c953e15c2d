"""Tokens of Entra ID: whose they are, judged by the issuer's public keys, which are fetched and kept.

Needs PyJWT, which the extra ``entra`` brings, and imports it on use.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp

from ._answers import RefusedError, retry_after, unauthorized

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import jwt

    from ._access import Access, Entra

_LOG = logging.getLogger(__name__)
_ALGORITHMS = ["RS256"]
"""What Entra ID signs with; above all neither ``none`` nor one that would take a public key for a shared secret."""

_SKEW = 60.0
"""Seconds by which two clocks may differ."""

_FRESH = 3600.0
"""Seconds after which the issuer's keys are fetched anew, as it may have withdrawn one."""

_PAUSE = 10.0
"""Seconds between two fetches, however many tokens name keys that nobody knows."""

_FETCH_WITHIN = 10.0
_KEPT = 10_000
"""Judged tokens that are remembered."""


class IssuerKeys:
    """The public keys of an issuer.

    Args:
        fetch: Gets the JSON Web Key Set.
        clock: Seconds that never go back.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Any]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._jwt = importlib.import_module("jwt")
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fresh_until = self._next_fetch = clock()
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """Return a key, or None if the issuer has none of this id.

        Raises:
            RefusedError: No key could be fetched yet.
        """
        if key_id not in self._keys or self._clock() >= self._fresh_until:
            async with self._fetching:
                if self._clock() >= self._next_fetch:
                    await self._renew()
        if not self._keys:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the keys of Entra ID are out of reach at the moment",
                retry_after(_PAUSE),
            )
        return self._keys.get(key_id)

    async def _renew(self) -> None:
        """Fetch the keys; those that are known stay if it fails."""
        try:
            keys = self._jwt.PyJWKSet.from_dict(await self._fetch()).keys
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError, self._jwt.PyJWTError) as error:
            _LOG.warning("the keys of Entra ID cannot be fetched: %s", type(error).__name__)
        else:
            self._keys = {key.key_id: key for key in keys}
            self._fresh_until = self._clock() + _FRESH
        self._next_fetch = self._clock() + _PAUSE


class Tokens:
    """Judges tokens.

    Args:
        entra: Whose tokens are accepted.
        access: The apps and their client ids.
        wall: Seconds since the epoch.

    Raises:
        ImportError: PyJWT is not installed.
    """

    def __init__(self, entra: Entra, access: Access, *, wall: Callable[[], float] = time.time) -> None:
        try:
            self._jwt = importlib.import_module("jwt")
        except ImportError:
            raise ImportError("Entra ID needs PyJWT: install penstock-token-counter[entra]") from None
        self._entra = entra
        self._apps = {client_id: name for name, app in access.apps.items() for client_id in app.client_ids}
        self._wall = wall
        self._keys = IssuerKeys(self._fetch)
        self._judged: dict[bytes, tuple[str, float]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def app(self, token: str) -> str:
        """Return the app that a token belongs to.

        Raises:
            RefusedError: It is not valid, or belongs to none.
        """
        name = hashlib.sha256(token.encode()).digest()
        app, until = self._judged.get(name, ("", 0.0))
        if self._wall() < until:
            return app
        claims = await self._claims(token)
        client_id = claims.get("azp") or claims.get("appid")
        if client_id not in self._apps:
            raise RefusedError(HTTPStatus.FORBIDDEN, "the token is valid, but no app has its client id")
        if len(self._judged) >= _KEPT:
            self._judged.clear()
        self._judged[name] = self._apps[client_id], float(claims["exp"])
        return self._apps[client_id]

    async def aclose(self) -> None:
        """Close the connections to the issuer."""
        if self._session is not None:
            await self._session.close()

    async def _claims(self, token: str) -> Mapping[str, Any]:
        """Return what a valid token says."""
        jwt = self._jwt
        try:
            key = await self._keys.find(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise _invalid("it is signed with a key that its issuer does not have")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._entra.audience,
                issuer=tuple(self._entra.issuers),
                leeway=_SKEW,
                options={"require": ["exp", "aud", "iss"]},
            )
        except jwt.ExpiredSignatureError:
            raise _invalid("it has expired") from None
        except jwt.InvalidAudienceError:
            raise _invalid("it is meant for another audience") from None
        except jwt.InvalidIssuerError:
            raise _invalid("it comes from another issuer") from None
        except jwt.PyJWTError as error:
            raise _invalid(f"it cannot be verified ({type(error).__name__})") from None
        return claims

    async def _fetch(self) -> Any:  # noqa: ANN401 - JSON from elsewhere
        """Get the issuer's keys."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_FETCH_WITHIN))
        async with self._session.get(self._entra.jwks_url, raise_for_status=True) as response:
            return await response.json(content_type=None)


def _invalid(reason: str) -> RefusedError:
    """Refuse a token, and say why, without repeating anything of it."""
    return unauthorized(f"the token is not accepted: {reason}", shown=True)
