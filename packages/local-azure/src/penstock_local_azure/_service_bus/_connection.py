"""A connection without its socket: bytes in, bytes out.

The engine follows a client through the SASL layer, the AMQP layer and the sessions on it. It does no I/O, so that a
test can drive it byte by byte. Between it and the wire lies the line on which the fault script does its work.
"""

from collections.abc import Callable
from typing import Final

from ._authorization import Grants
from ._decode import DecodeError
from ._errors import DECODE_ERROR, FRAMING_ERROR, ILLEGAL_STATE, NOT_ALLOWED, AmqpError
from ._fault_line import FaultLine
from ._faults import Faults
from ._frames import AMQP, AMQP_HEADER, MAX_FRAME_SIZE, SASL, SASL_HEADER, Frame, FrameError, FrameSplitter
from ._namespace import Namespace
from ._performatives import (
    Begin,
    Close,
    End,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    decode_performative,
    encode_performative,
)
from ._session import Session
from ._types import Array, Symbol

_CONTAINER_ID: Final = "penstock-local-azure"
_CHANNEL_MAX = 4999
_SMALLEST_FRAME = 512
"""The least `max_frame_size` the specification allows."""

_SASL_OK, _SASL_AUTH = 0, 1


class Connection:
    """The engine of one connection.

    Args:
        namespace: The entities its links may attach to.
        on_output: Called when there is output after there was none.
        grants: What its tokens allow; None: everything is allowed.
        faults: What goes wrong on its way; None: nothing.
    """

    def __init__(
        self,
        namespace: Namespace,
        on_output: Callable[[], None],
        grants: Grants | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.namespace = namespace
        self.grants = grants or Grants()
        self.max_frame_size = _SMALLEST_FRAME
        self.idle_timeout: float | None = None
        """Seconds the peer waits for a frame before it gives up; None: for ever."""
        self.closed = False
        """Whether the conversation is over: what is in the output is the last of it."""
        self._on_output = on_output
        self._splitter = FrameSplitter()
        self._output = bytearray()
        self._opened = False
        self._sessions: dict[int, Session] = {}
        self.line = FaultLine(self, Faults() if faults is None else faults)

    def receive(self, data: bytes) -> None:
        """Take in bytes from the peer and act on every frame they complete."""
        try:
            for item in self._splitter.feed(data):
                if self.closed:
                    return
                if isinstance(item, Frame):
                    self._on_frame(item)
                else:
                    self._on_header(item)
        except FrameError as error:
            self._fail(AmqpError(FRAMING_ERROR, str(error)))
        except DecodeError as error:
            self._fail(AmqpError(DECODE_ERROR, str(error)))
        except AmqpError as error:
            self._fail(error)

    def send(self, channel: int, body: bytes, frame_type: int = AMQP) -> None:
        """Put a frame into the output."""
        self.line.outgoing(channel, body, frame_type)

    def write(self, data: bytes) -> None:
        """Put bytes into the output, unless the last of it is there already."""
        if self.closed:
            return
        if not self._output:
            self._on_output()
        self._output += data

    def take_output(self) -> bytes:
        """Return what is to be written to the socket, and forget it."""
        self.line.catch_up()
        output = bytes(self._output)
        self._output.clear()
        return output

    def expire_tokens(self) -> None:
        """Detach the links whose tokens have expired."""
        self.grants.forget_expired()
        for session in self._sessions.values():
            session.withdraw()

    def lost(self) -> None:
        """Let go of all sessions: the socket is gone. Locks stay until they expire."""
        self.closed = True
        for session in self._sessions.values():
            session.lost()
        self._sessions.clear()

    def _on_header(self, header: bytes) -> None:
        if header == SASL_HEADER:
            self.write(SASL_HEADER)
            self._send_sasl(SaslMechanisms(Array([Symbol("ANONYMOUS")])))
        else:  # for any other protocol the answer is the one spoken here, and the end (part 2, section 2.2)
            self.write(AMQP_HEADER)
            self.closed = header != AMQP_HEADER

    def _on_frame(self, frame: Frame) -> None:
        if not frame.body:
            return
        performative, payload = decode_performative(frame.body)
        if frame.type == SASL:
            self._on_sasl(performative)
        elif isinstance(performative, Open):
            self._on_open(performative)
        elif not self._opened:
            raise AmqpError(ILLEGAL_STATE, f"{type(performative).__name__} before Open")
        else:
            self.line.incoming(frame.channel, performative, payload)

    def _on_sasl(self, performative: Performative) -> None:
        if not isinstance(performative, SaslInit):
            raise AmqpError(NOT_ALLOWED, f"{type(performative).__name__} while logging in")
        is_known = performative.mechanism == "ANONYMOUS"
        self._send_sasl(SaslOutcome(_SASL_OK if is_known else _SASL_AUTH))
        self.closed = not is_known

    def _on_open(self, peer: Open) -> None:
        self._opened = True
        self.max_frame_size = max(_SMALLEST_FRAME, min(peer.max_frame_size, MAX_FRAME_SIZE))
        self.idle_timeout = peer.idle_timeout / 1000 if peer.idle_timeout else None
        ours = Open(_CONTAINER_ID, max_frame_size=MAX_FRAME_SIZE, channel_max=_CHANNEL_MAX)
        self.send(0, encode_performative(ours))

    def act(self, channel: int, performative: Performative, payload: bytes) -> None:
        """Do what a frame says.

        Raises:
            AmqpError: if the connection cannot go on.
            DecodeError: the same.
        """
        match performative:
            case Begin():
                if channel in self._sessions:
                    raise AmqpError(NOT_ALLOWED, f"the channel {channel} is in use")
                self._sessions[channel] = Session(self, channel, performative)
            case End():
                self.session(channel).close()
                del self._sessions[channel]
                self.send(channel, encode_performative(End()))
            case Close():
                for session in self._sessions.values():
                    session.close()
                self.send(0, encode_performative(Close()))
                self.closed = True
            case _:
                self.session(channel).handle(performative, payload)

    def session(self, channel: int) -> Session:
        """Return the session on a channel.

        Raises:
            AmqpError: if there is none.
        """
        session = self._sessions.get(channel)
        if session is None:
            raise AmqpError(NOT_ALLOWED, f"no session on channel {channel}")
        return session

    def _send_sasl(self, performative: Performative) -> None:
        self.send(0, encode_performative(performative), SASL)

    def _fail(self, error: AmqpError) -> None:
        """End the conversation and say why."""
        if self._opened:
            self.send(0, encode_performative(Close(error.composite())))
        self.closed = True
