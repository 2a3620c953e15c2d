"""A request's body, from the socket to where it is kept, its MD5 taken on the way."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

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
        md5: Their MD5 in base64, as headers carry it.
    """

    content: Content
    md5: str


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
    return await receive(call, MemoryWriter(announced(call, limit=limit)))


async def receive(call: Call, writer: Writer, *, md5_headers: Iterable[str] = ("Content-MD5",)) -> Body:
    """Read the whole body.

    Args:
        call: The request.
        writer: What takes it in.
        md5_headers: Names of the headers that, where given, carry the body's MD5.

    Raises:
        Refusal: InvalidMd5 or Md5Mismatch, when an MD5 came along and is not the body's.
        ConnectionError: The client hung up, or the fault script cut it off.
    """
    digest = hashlib.md5(usedforsecurity=False)
    left = _cut_after(call)
    is_corrupt = isinstance(call.fault, CorruptBody)
    with closing(writer):
        async for arrived in call.request.content.iter_any():
            piece, is_corrupt = (corrupted(arrived), False) if is_corrupt else (arrived, is_corrupt)
            writer.write(piece)
            digest.update(piece)
            if isinstance(call.fault, SlowBody):
                await asyncio.sleep(len(piece) / call.fault.bytes_per_second)
            if left is not None and (left := left - len(piece)) <= 0:
                call.hang_up()
    for given in (call.request.headers.get(name) for name in md5_headers):
        if given and md5(given) != digest.digest():
            raise Refusal("Md5Mismatch")
    return Body(writer.content(), b64encode(digest.digest()).decode())


def _cut_after(call: Call) -> float | None:
    """After how many bytes the script cuts the request off, if it does."""
    return call.fault.after * (call.request.content_length or 0) if isinstance(call.fault, CutRequest) else None
