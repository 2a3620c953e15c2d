"""Who calls: a request's key or token decides the app, and the app decides the pools."""

from __future__ import annotations

import base64
import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING

from ._access import digest
from ._answers import RefusedError, refusing, retry_after, unauthorized

if TYPE_CHECKING:
    from aiohttp import web

    from ._access import Access
    from ._answers import Handler
    from ._entra import Tokens
    from ._rate import CallRate

_DOTS_OF_A_TOKEN = 2
_HERE = frozenset({"127.0.0.1", "::1"})
"""The addresses of this machine, whose processes need no key and are trusted not to flood it."""


class Callers:
    """Knows the apps by what they show.

    Args:
        access: Who may use the counter.
        tokens: Judges tokens of Entra ID.
        rate: How often one caller may ask; None: as often as it likes.
    """

    def __init__(self, access: Access, *, tokens: Tokens | None = None, rate: CallRate | None = None) -> None:
        self.protected = access.protected
        self._apps = access.apps
        self._tokens = tokens
        self._rate = rate
        self._keys = [(key, name) for name, app in access.apps.items() for key in app.keys]
        self._pools = {name: None if app.pools is None else frozenset(app.pools) for name, app in access.apps.items()}

    async def identify(self, request: web.Request, *, browser: bool = False) -> str | None:
        """Return the app that a request shows to be its own; None where nobody is asked for a key.

        Args:
            request: The request.
            browser: Accept the key also as the password of Basic. A browser adds that by itself to what any page
                makes it send, so it opens what is only read.

        Raises:
            RefusedError: It shows nothing that is known, or comes too often.
        """
        app = await self._known(request, browser=browser) if self.protected else None
        if self._rate is not None:
            _count(self._rate, app, request.remote)
        return app

    def admit(self, caller: str | None, app_id: str, pool: str) -> None:
        """Let an app use a pool.

        Args:
            caller: The app that the request showed to be its own, or None.
            app_id: The app that the message says it is.
            pool: The pool.

        Raises:
            RefusedError: It may not.
        """
        if caller is not None and caller != app_id:
            raise RefusedError(HTTPStatus.FORBIDDEN, "the key is another app's than app_id says")
        if not self._apps:
            return
        if app_id not in self._apps:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"there is no app {app_id[:64]!r} here")
        pools = self._pools[app_id]
        if pools is not None and pool not in pools:
            raise RefusedError(HTTPStatus.FORBIDDEN, f"the app {app_id[:64]!r} may not use the pool {pool!r}")

    def reading(self, handler: Handler) -> Handler:
        """Serve what is only read to every known caller, a browser among them."""

        async def reading(request: web.Request) -> web.StreamResponse:
            await self.identify(request, browser=True)
            return await handler(request)

        return refusing(reading)

    async def _known(self, request: web.Request, *, browser: bool) -> str:
        """Return the app whose key or token a request shows."""
        shown = _shown(request, browser=browser)
        if shown is None:
            raise unauthorized("a key is needed: send Authorization: Bearer KEY", browser=browser)
        app = await self._app_of(shown) if shown.isascii() else None
        if app is None:
            raise unauthorized("the key is none that is known here", shown=True, browser=browser)
        return app

    async def _app_of(self, shown: str) -> str | None:
        """Return the app that a key or a token belongs to."""
        app = self._key_of(shown)
        if app is None and self._tokens is not None and shown.count(".") == _DOTS_OF_A_TOKEN:
            app = await self._tokens.app(shown)
        return app

    def _key_of(self, shown: str) -> str | None:
        """Return the app that has a key; comparing takes as long for every key, be it right, nearly right or wrong."""
        given = digest(shown)
        matches = [app for key, app in self._keys if hmac.compare_digest(key, given)]
        return matches[0] if matches else None


def _count(rate: CallRate, app: str | None, address: str | None) -> None:
    """Refuse a caller who asks too often."""
    if app is None and address in _HERE:
        return
    wait = rate.take(("app", app) if app is not None else ("address", address))
    if wait > 0:
        message = "too many requests from this caller: ask less often"
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, message, retry_after(wait))


def _shown(request: web.Request, *, browser: bool) -> str | None:
    """Return the key or token of a request; None if it shows none in a way that is accepted."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return _password(credentials) if browser and scheme.lower() == "basic" else None


def _password(credentials: str) -> str:
    """Return the password of Basic credentials; "" if they cannot be read."""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
