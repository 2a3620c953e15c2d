"""The stand-ins' own door, which Azure does not have: their accounts over HTTP."""

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

STATS_PATH: Final = "/_local/stats"


def control(stats: Callable[[], dict[str, Any]]) -> web.Application:
    """Return an application that answers with the accounts as they are when it is asked."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(stats())

    application = web.Application()
    application.router.add_get(STATS_PATH, answer)
    return application
