"""A stream of chunks that has begun, and the reservation that pays for it."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from openai import AsyncStream

from penstock_token_client import CallStatus, Reservation
from penstock_tokenizers import count_off_loop, count_text

from ._boundary import mapped
from ._chunks import Chunks
from ._errors import CompletionError, DeadlineExceeded, EndpointUnavailable
from ._lane import ChatLane
from ._limit import Limit
from ._tracing import Span, tell_answer
from ._usage import Usage

if TYPE_CHECKING:
    from ._engine import Answer


class OpenStream:
    """Reads once, and settles once.

    Args:
        stream: The chunks.
        lane: Where they come from.
        reservation: What pays for them.
        estimate: What they may cost at most.
        span: What traces it.
        held: What is open until the stream is closed, the reservation among it.

    Attributes:
        result: What came of it so far.
        began: When it was opened.
    """

    def __init__(
        self,
        stream: AsyncStream[object],
        lane: ChatLane,
        reservation: Reservation,
        estimate: Usage,
        span: Span,
        held: AsyncExitStack,
    ) -> None:
        self.result: Answer | CompletionError = EndpointUnavailable(None, code="left_early")
        self.began = time.monotonic()
        self.lane = lane
        self.reservation = reservation
        self.estimate = estimate
        self._stream = stream
        self._span = span
        self._held = held
        self._chunks = Chunks()
        self._settled = False

    async def pieces(self, limit: Limit) -> AsyncIterator[str]:
        """Read to the end, then settle.

        Raises:
            CompletionError: It broke off, or the deadline passed.
        """
        chunks = aiter(self._stream)
        try:
            while (chunk := await _next(chunks, limit)) is not None:
                if piece := self._chunks.take(chunk):
                    yield piece
            if not self._chunks.complete:
                raise EndpointUnavailable(None, code="cut_stream")
        except CompletionError as error:
            self.result = error
            raise
        answer = self._chunks.answer(self._stream.response.headers)
        self.result = dataclasses.replace(answer, usage=answer.usage or await self._counted())
        await self._settle("truncated" if answer.finish_reason == "length" else "ok")

    async def close(self, *, cancelled: bool) -> None:
        """Close, wherever the reader has got to; a reader that is cancelled leaves the whole estimate charged."""
        async with self._held:
            tell_answer(self._span, self.result)
            await self._stream.close()
            if not cancelled:
                await self._settle("error")

    async def _settle(self, status: CallStatus) -> None:
        """Report, the first time."""
        if self._settled:
            return
        self._settled = True
        used = self._chunks.usage or await self._counted()
        await self.reservation.report(
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            headers=self._stream.response.headers,
            status=status,
        )

    async def _counted(self) -> Usage:
        """Count what was written so far."""
        written = self._chunks.written
        encoding = await self.lane.estimator.ready()
        tokens = await count_off_loop(len(written), count_text, encoding, written)
        return Usage(prompt_tokens=self.estimate.prompt_tokens, completion_tokens=tokens)


async def _next(chunks: AsyncIterator[object], limit: Limit) -> object | None:
    """Return the next chunk, or None at the end."""
    try:
        async with asyncio.timeout(limit.left()):
            return await mapped(anext(chunks, None))
    except TimeoutError:
        raise DeadlineExceeded(limit.seconds) from None
