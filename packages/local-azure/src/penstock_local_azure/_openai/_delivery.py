"""How an answer gets to its client, or does not."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from penstock_local_azure._http_faults import CutAnswer, StalledAnswer

from ._endpoint import Exchange
from ._faults import Delivery, ErrorEvent, GatewayPage

_PAGE: Final = "<html><head><title>Gateway</title></head><body><h1>Try again later</h1></body></html>\n"
_FAILED: Final = "The server had an error while processing your request."


async def deliver(http: web.Request, exchange: Exchange, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send an answer as its exchange has it: in one piece or as a stream, whole or not."""
    match exchange.fault:
        case GatewayPage(status):
            exchange.request.status = status
            return web.Response(status=status, text=_PAGE, content_type="text/html")
        case CutAnswer(after) | StalledAnswer(after):
            response = await _send_part(http, exchange, headers, after) if after else web.Response()
            return await _break_off(http, response, exchange.fault)
        case ErrorEvent(after, code) if exchange.streamed:
            events = (*exchange.parts[: int(len(exchange.parts) * after)], _error_event(code))
            return await _send_events(http, exchange, headers, events)
        case _ if exchange.streamed:
            return await _send_events(http, exchange, headers, exchange.parts)
        case _:
            exchange.request.status = 200
            return web.Response(body=exchange.parts[0], content_type="application/json", headers=headers)


def _error_event(code: str) -> bytes:
    """Write an error that comes in the middle of a stream."""
    error = {"message": _FAILED, "type": "server_error", "param": None, "code": code}
    return b"data: %s\n\n" % json.dumps({"error": error}).encode("ascii")


async def _send_events(
    http: web.Request, exchange: Exchange, headers: Mapping[str, str], events: Sequence[bytes]
) -> web.StreamResponse:
    """Send a stream."""
    exchange.request.status = 200
    response = _stream(headers)
    await response.prepare(http)
    for event in events:
        await response.write(event)
    await response.write_eof()
    return response


async def _send_part(
    http: web.Request, exchange: Exchange, headers: Mapping[str, str], after: float
) -> web.StreamResponse:
    """Send the beginning of an answer."""
    exchange.request.status = 200
    whole = b"".join(exchange.parts)
    part = whole[: int(len(whole) * after)]
    response = _stream(headers) if exchange.streamed else web.StreamResponse(headers=headers)
    if not exchange.streamed:
        response.content_type = "application/json"
        response.content_length = len(part) if _seems_whole(exchange.fault) else len(whole)
    await response.prepare(http)
    await response.write(part)
    return response


async def _break_off(
    http: web.Request, response: web.StreamResponse, fault: CutAnswer | StalledAnswer
) -> web.StreamResponse:
    """End an answer before its end."""
    if isinstance(fault, StalledAnswer):
        # Ends with the connection, which cancels what works on it.
        await asyncio.Event().wait()
    if _seems_whole(fault):
        await response.write_eof()
    elif http.transport is not None:
        http.transport.close()
    return response


def _seems_whole(fault: Delivery | None) -> bool:
    """Tell whether nothing betrays that there should be more."""
    return isinstance(fault, CutAnswer) and not fault.abrupt


def _stream(headers: Mapping[str, str]) -> web.StreamResponse:
    """Return the beginning of a stream of events."""
    response = web.StreamResponse(headers=headers)
    response.content_type = "text/event-stream"
    response.charset = "utf-8"
    response.enable_chunked_encoding()
    return response
