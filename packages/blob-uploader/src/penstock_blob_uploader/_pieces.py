"""A request's body on its way out: written in pieces, between which the event loop breathes."""

from typing import TYPE_CHECKING, Any

from aiohttp import Payload

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from azure.core.pipeline import PipelineRequest

PIECE = 256 * 1024
"""Bytes written at once. What the socket does not take of them is copied, and is all that is held twice."""


class Pieces(Payload):
    """Bytes as a body for aiohttp, which may send it again; bytes as such would be written in one go."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, content_type="application/octet-stream")
        self._size = len(data)

    async def write(self, writer: "AbstractStreamWriter") -> None:
        """Write the body, at the pace at which it leaves."""
        data = memoryview(self._value)
        for start in range(0, len(data), PIECE):
            await writer.write(data[start : start + PIECE])

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text, as aiohttp asks of every payload."""
        return str(self._value, encoding, errors)


def send_in_pieces(request: "PipelineRequest[Any]") -> None:
    """Change a request about to be sent, because the SDK takes nothing but bytes for a whole body."""
    body = request.http_request.data
    if isinstance(body, bytes) and len(body) > PIECE:
        request.http_request.data = Pieces(body)
