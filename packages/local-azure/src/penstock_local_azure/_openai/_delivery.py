"""How an answer gets to its client, or does not."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from ._endpoint import Exchange
from ._faults import CutAnswer, GatewayPage, NoAnswer

_PAGE: Final = "<html><head><title>Gateway</title></head><body><h1>Try again later</h1></body></html>\n"


async def deliver(http: web.Request, exchange: Exchange, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send an answer as its exchange has it: in one piece or as a stream, whole or not."""
    match exchange.fault:
        case NoAnswer():
            # Ends with the connection, which cancels what works on it.
            await asyncio.Event().wait()
            return _hang_up(http)
        case CutAnswer(after=0):
            return _hang_up(http)
        case CutAnswer(after, abrupt):
            whole = b"".join(exchange.parts)
            return await _send_part(http, exchange, headers, whole[: int(len(whole) * after)], abrupt=abrupt)
        case GatewayPage(status):
            exchange.request.status = status
            return web.Response(status=status, text=_PAGE, content_type="text/html")
        case _:
            return await _send(http, exchange, headers)


async def _send(http: web.Request, exchange: Exchange, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send all of an answer."""
    exchange.request.status = 200
    if not exchange.streamed:
        return web.Response(body=exchange.parts[0], content_type="application/json", headers=headers)
    response = _stream(headers)
    await response.prepare(http)
    for event in exchange.parts:
        await response.write(event)
    await response.write_eof()
    return response


async def _send_part(
    http: web.Request, exchange: Exchange, headers: Mapping[str, str], part: bytes, *, abrupt: bool
) -> web.StreamResponse:
    """Send the beginning of an answer; then the connection ends, or nothing tells that there should be more."""
    exchange.request.status = 200
    if exchange.streamed:
        response = _stream(headers)
    else:
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/json"
        response.content_length = sum(map(len, exchange.parts)) if abrupt else len(part)
    await response.prepare(http)
    await response.write(part)
    if abrupt:
        _hang_up(http)
    else:
        await response.write_eof()
    return response


def _stream(headers: Mapping[str, str]) -> web.StreamResponse:
    """Return the beginning of a stream of events."""
    response = web.StreamResponse(headers=headers)
    response.content_type = "text/event-stream"
    response.charset = "utf-8"
    response.enable_chunked_encoding()
    return response


def _hang_up(http: web.Request) -> web.StreamResponse:
    """End the connection."""
    if http.transport is not None:
        http.transport.close()
    return web.Response()
