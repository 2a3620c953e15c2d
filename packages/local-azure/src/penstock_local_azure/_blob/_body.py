"""A request's body, from the socket to where it is kept, its MD5 taken on the way where it matters."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from dataclasses import dataclass
from math import inf

from ._call import Call
from ._content import Content
from ._faults import CorruptBody, CutRequest, SlowBody, corrupted
from ._headers import md5
from ._medium import MemoryWriter, Writer
from ._refusal import Refusal


@dataclass(frozen=True, slots=True)
class Body:
    """What arrived.

    Attributes:
        content: The bytes.
        headers: Content-MD5, the MD5 of the bytes, if it was taken.
    """

    content: Content
    headers: dict[str, str]


def announced(call: Call, *, limit: int) -> int:
    """The length of the body to come.

    Raises:
        Refusal: MissingContentLengthHeader; RequestBodyTooLarge, for more than ``limit`` bytes.
    """
    if call.request.content_length is None:
        raise Refusal("MissingContentLengthHeader")
    if call.request.content_length > limit:
        raise Refusal("RequestBodyTooLarge")
    return call.request.content_length


async def receive_document(call: Call, *, limit: int) -> Body:
    """Read a body that only says something and is not kept."""
    announced(call, limit=limit)
    return await receive(call, MemoryWriter())


async def receive(
    call: Call, writer: Writer, *, md5_headers: Iterable[str] = ("Content-MD5",), always_md5: bool = False
) -> Body:
    """Read the whole body.

    Args:
        call: The request.
        writer: What takes it in.
        md5_headers: Names of the headers that, where given, carry the body's MD5.
        always_md5: Whether to take the MD5 also if none is given; it is what costs most.

    Raises:
        Refusal: InvalidMd5 or Md5Mismatch, when an MD5 came along and is not the body's.
        ConnectionError: The client hung up, or the fault script cut it off.
    """
    with closing(writer):
        given = [md5(value) for name in md5_headers if (value := call.request.headers.get(name))]
        digest = hashlib.md5(usedforsecurity=False) if given or always_md5 else None
        async for piece in _pieces(call):
            writer.write(piece)
            if digest is not None:
                digest.update(piece)
    if digest is None:
        return Body(writer.content(), {})
    if any(one != digest.digest() for one in given):
        raise Refusal("Md5Mismatch")
    return Body(writer.content(), {"Content-MD5": b64encode(digest.digest()).decode()})


async def _pieces(call: Call) -> AsyncIterator[bytes]:
    """The body as it arrives, with whatever goes wrong on its way."""
    left = call.fault.after * (call.request.content_length or 0) if isinstance(call.fault, CutRequest) else inf
    is_corrupt = isinstance(call.fault, CorruptBody)
    async for piece in call.request.content.iter_any():
        yield corrupted(piece) if is_corrupt else piece
        is_corrupt = False
        if isinstance(call.fault, SlowBody):
            await asyncio.sleep(len(piece) / call.fault.bytes_per_second)
        if (left := left - len(piece)) <= 0:
            call.hang_up()
