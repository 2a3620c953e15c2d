"""Answers that several operations give: an XML document, a refusal, and what stands on all of them."""

from http import HTTPStatus
from typing import Final
from uuid import uuid4

from aiohttp import web

from . import _xml
from ._refusal import Refusal

_XML: Final = {"Content-Type": "application/xml"}
_VERSION: Final = "2026-10-06"  # said to a client that names none


def document(text: str) -> web.Response:
    """An XML document as an answer."""
    return web.Response(body=text.encode("utf-8", "surrogateescape"), headers=_XML)


def refused(request: web.Request, refusal: Refusal) -> web.Response:
    """The answer that a refusal is; the code stands in a header too, for HEAD and 304 have no body."""
    headers = {**refusal.headers, "x-ms-error-code": refusal.code}
    if request.method == "HEAD" or refusal.status == HTTPStatus.NOT_MODIFIED:
        return web.Response(status=refusal.status, headers=headers)
    body = _xml.error(refusal.code, refusal.message).encode()
    return web.Response(status=refusal.status, headers={**headers, **_XML}, body=body)


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Put on what every answer of the service carries; a signal handler of aiohttp's."""
    response.headers["x-ms-request-id"] = str(uuid4())
    response.headers["x-ms-version"] = request.headers.get("x-ms-version", _VERSION)
    if (client_id := request.headers.get("x-ms-client-request-id")) is not None:
        response.headers["x-ms-client-request-id"] = client_id
