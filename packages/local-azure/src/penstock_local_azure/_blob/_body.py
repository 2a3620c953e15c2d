"""A request's body, from the socket into one buffer of its size, its MD5 taken on the way."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from ._content import Content
from ._headers import md5
from ._refusal import Refusal


@dataclass(frozen=True, slots=True)
class Body:
    """What arrived.

    Attributes:
        content: The bytes.
        md5: Their MD5 in base64, as headers carry it.
    """

    content: Content
    md5: str


async def receive(request: web.Request, *, limit: int, md5_headers: Iterable[str] = ("Content-MD5",)) -> Body:
    """Read the whole body, holding its bytes once.

    Args:
        request: The request.
        limit: Bytes above which it is refused before anything is read.
        md5_headers: Names of the headers that, where given, carry the body's MD5.

    Raises:
        Refusal: MissingContentLengthHeader; RequestBodyTooLarge; InvalidMd5 or Md5Mismatch, when an MD5 came
            along and is not the body's.
    """
    if request.content_length is None:
        raise Refusal("MissingContentLengthHeader")
    if request.content_length > limit:
        raise Refusal("RequestBodyTooLarge")
    buffer, filled, digest = bytearray(request.content_length), 0, hashlib.md5(usedforsecurity=False)
    async for chunk in request.content.iter_any():
        buffer[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
        digest.update(chunk)
    for given in (request.headers.get(name) for name in md5_headers):
        if given and md5(given) != digest.digest():
            raise Refusal("Md5Mismatch")
    return Body(Content(buffer), b64encode(digest.digest()).decode())
