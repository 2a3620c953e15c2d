"""How an answer gets to its client, or does not."""

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from aiohttp import web

from penstock_local_azure._http_faults import CutAnswer, LateAnswer, StalledAnswer

from ._answers import Answer
from ._faults import CorruptBody, Fault, SlowBody, corrupted

_VERSION: Final = "2026-10-06"  # said to a client that names none


async def deliver(request: web.Request, answer: Answer, fault: Fault | None) -> web.StreamResponse:
    """Send an answer: whole, unless a fault wants it otherwise."""
    match fault:
        case LateAnswer(seconds):
            await asyncio.sleep(seconds)
        case StalledAnswer() | CutAnswer():
            return await _send_part(request, answer, fault)
    response = _head(request, answer)
    await response.prepare(request)
    if not _has_no_body(request, answer):
        for piece in _pieces(answer, fault):
            if isinstance(fault, SlowBody):
                await asyncio.sleep(len(piece) / fault.bytes_per_second)
            await response.write(piece)
    return response


def _head(request: web.Request, answer: Answer) -> web.StreamResponse:
    """The beginning of an answer, with what every answer of the service carries."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.headers["x-ms-request-id"] = str(uuid4())
    response.headers["x-ms-version"] = request.headers.get("x-ms-version", _VERSION)
    if (client_id := request.headers.get("x-ms-client-request-id")) is not None:
        response.headers["x-ms-client-request-id"] = client_id
    if "Content-Length" not in answer.headers:  # an answer to HEAD tells the length of what it leaves out
        start, stop = answer.bounds
        response.content_length = 0 if _has_no_body(request, answer) else stop - start
    return response


def _has_no_body(request: web.Request, answer: Answer) -> bool:
    return request.method == "HEAD" or answer.status == HTTPStatus.NOT_MODIFIED


def _pieces(answer: Answer, fault: Fault | None) -> Iterator[bytes | memoryview]:
    """The body, with its first byte changed if a fault wants it."""
    pieces = answer.content.slices(*answer.bounds)
    if isinstance(fault, CorruptBody):
        yield from (corrupted(first) for first in (next(pieces, b""),) if first)
    yield from pieces


async def _send_part(request: web.Request, answer: Answer, fault: StalledAnswer | CutAnswer) -> web.StreamResponse:
    """Send the beginning of an answer; one without a body has none but what would make it whole."""
    start, stop = answer.bounds
    stop_early = start + int((stop - start) * fault.after)
    if stop_early == start and not _seems_whole(fault):
        return await _break_off(request, web.Response(), fault)
    response = _head(request, answer)
    if _seems_whole(fault):
        response.content_length = stop_early - start
    await response.prepare(request)
    for piece in answer.content.slices(start, stop_early):
        await response.write(piece)
    return await _break_off(request, response, fault)


async def _break_off(
    request: web.Request, response: web.StreamResponse, fault: StalledAnswer | CutAnswer
) -> web.StreamResponse:
    """End an answer before its end."""
    if isinstance(fault, StalledAnswer):
        await asyncio.Event().wait()  # ends with the connection, which cancels what works on it
    if not _seems_whole(fault) and request.transport is not None:
        request.transport.close()
    return response


def _seems_whole(fault: StalledAnswer | CutAnswer) -> bool:
    """Whether nothing betrays that there should be more."""
    return isinstance(fault, CutAnswer) and not fault.abrupt
