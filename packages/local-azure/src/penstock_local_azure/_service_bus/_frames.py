"""Frames: how performatives travel on a TCP connection (OASIS AMQP 1.0, part 2, section 2.3).

A connection starts with an eight-byte protocol header, once for SASL and once for AMQP itself. After that comes one
frame behind the other: four bytes of size, the offset of the body in words, a type and a channel.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

AMQP: Final = 0
SASL: Final = 1
"""Frame types."""

AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"

EMPTY: Final = b"\x00\x00\x00\x08\x02\x00\x00\x00"
"""A frame without a body: says nothing but that its sender is alive."""

MAX_FRAME_SIZE: Final = 65_536
"""Bytes of a frame, header included, that this side takes: what Service Bus announces."""

HEADER_SIZE: Final = 8
_HEADER = struct.Struct(">IBBH")
_WORD = 4
_PROTOCOL_HEADER = int.from_bytes(b"AMQP")
"""What a protocol header looks like where a frame has its size."""


class FrameError(ValueError):
    """The bytes are no frame."""


class Frame(NamedTuple):
    """One frame off the wire; `body` is empty in a keep-alive."""

    type: int
    channel: int
    body: bytes


def join_frame(channel: int, body: bytes, frame_type: int = AMQP) -> bytes:
    """Put a frame header before `body`."""
    return _HEADER.pack(HEADER_SIZE + len(body), 2, frame_type, channel) + body


class FrameSplitter:
    """Cuts a byte stream, fed in pieces of any size, into protocol headers and frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame | bytes]:
        """Take in bytes and yield what is complete: a `Frame`, or a protocol header as its eight bytes.

        Raises:
            FrameError: if a header is impossible or a frame is larger than `MAX_FRAME_SIZE`.
        """
        data = self._rest + data
        start = 0
        while len(data) - start >= HEADER_SIZE:
            size, offset, frame_type, channel = _HEADER.unpack_from(data, start)
            if size == _PROTOCOL_HEADER:
                size = HEADER_SIZE
            elif not HEADER_SIZE <= _WORD * offset <= size <= MAX_FRAME_SIZE:
                raise FrameError(f"a frame of {size} bytes whose body starts at byte {_WORD * offset}")
            end = start + size
            if end > len(data):
                break
            whole = data[start:end]
            start = end
            yield whole if whole.startswith(b"AMQP") else Frame(frame_type, channel, whole[_WORD * offset :])
        self._rest = data[start:]
