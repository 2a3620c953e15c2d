"""Bodies in and answers out: JSON both ways, and a refusal that says what is wrong."""

from __future__ import annotations

import asyncio
import json
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson  # decodes and encodes several times as fast as json, which is a fifth of what a /lock costs
from aiohttp import web

from penstock_token_client.protocol import VERSION, ProtocolError

from ._desk import UnknownIdError
from ._paused import PausedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LARGEST_BODY = 64 * 1024
"""Bytes; the longest message of the wire is far below."""

_BODY_WITHIN = 10.0
"""Seconds for a body that did not come with its head."""

_JSON = "application/json"
_MEDIA_TYPES = frozenset({_JSON, "application/octet-stream"})
"""What a body may say it is. A page in a browser can send others, or none, to any address without being asked."""


class RefusedError(Exception):
    """Raised for a request that is refused; its text goes to the caller.

    Attributes:
        status: The HTTP status.
        headers: Headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def unauthorized(message: str, *, shown: bool = False, browser: bool = False) -> RefusedError:
    """Refuse a caller who is not known.

    Args:
        message: Why.
        shown: It showed something, which is not valid.
        browser: It may be a browser, which asks its user for a password if it is told to.
    """
    bearer = 'Bearer realm="penstock-token-counter"' + (', error="invalid_token"' if shown else "")
    basic = 'Basic realm="penstock-token-counter", charset="UTF-8", ' if browser else ""
    return RefusedError(HTTPStatus.UNAUTHORIZED, message, {"WWW-Authenticate": basic + bearer})


def answer(
    body: Mapping[str, Any], status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a response with a JSON body."""
    return web.Response(body=encoded(body), status=status, headers=headers, content_type=_JSON)


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return JSON as bytes."""
    return orjson.dumps(body)


def refusal(status: int, message: str, *, headers: Mapping[str, str] | None = None, **facts: str) -> web.Response:
    """Return a response that says what is wrong."""
    return answer({"v": VERSION, "message": message, **facts}, status, headers)


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that says when to ask again."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def refusing(handler: Handler) -> Handler:
    """Turn what a request does wrong into the answer that says so."""

    async def refusing(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProtocolError as error:
            return refusal(HTTPStatus.BAD_REQUEST, str(error), field=error.field)
        except RefusedError as error:
            return refusal(error.status, str(error), headers=error.headers)
        except UnknownIdError as error:
            return refusal(HTTPStatus.NOT_FOUND, str(error), field="request_id")
        except PausedError as error:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=retry_after(error.retry_after))
        except web.HTTPRequestEntityTooLarge:
            return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {LARGEST_BODY} bytes")

    return refusing


async def body(request: web.Request) -> object:
    """Return the decoded body.

    Raises:
        ProtocolError: It is not JSON.
        RefusedError: It says that it is something else, or it does not come.
    """
    media_type = request.headers.get("Content-Type", "")
    if media_type not in _MEDIA_TYPES and media_type.partition(";")[0].strip().lower() not in _MEDIA_TYPES:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be JSON: send Content-Type: {_JSON}")
    received = _at_once(request) if request.content.is_eof() else await _slowly(request)
    try:
        return orjson.loads(received)
    except orjson.JSONDecodeError:
        return _nearly_json(received)


def _nearly_json(received: bytes) -> object:
    """Decode what only Python takes for JSON, such as NaN, so that the refusal can name the field."""
    try:
        return json.loads(received)
    except (ValueError, RecursionError):
        raise ProtocolError("body", "the body must be JSON") from None


def _at_once(request: web.Request) -> bytes:
    """Return a body that came with its head, as nearly all do."""
    received = request.content.read_nowait()
    if len(received) > LARGEST_BODY:
        raise web.HTTPRequestEntityTooLarge(LARGEST_BODY, len(received))
    return received


async def _slowly(request: web.Request) -> bytes:
    """Return a body that did not come with its head; a caller who sends half of it does not hold us for ever."""
    try:
        async with asyncio.timeout(_BODY_WITHIN):
            return await request.read()
    except TimeoutError:
        raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {_BODY_WITHIN:.0f} s") from None
