"""Plain text as it is written."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from openai import AsyncStream

from penstock_token_client import Reservation

from ._attempts import Asked, recovered, reserved
from ._course import ChatCourse
from ._engine import Answer, Question
from ._errors import CompletionError, DeadlineExceeded
from ._lane import ChatLane
from ._limit import Limit
from ._open_stream import OpenStream
from ._route import Route
from ._settlement import settle
from ._tracing import request_span, tell_answer
from ._usage import Attempted, Outcome, Usage


class TextStream(Attempted):
    """One answer in pieces: ``async with service.stream_prompt(…) as stream``, then ``async for piece in stream``.

    What fails before the first piece is asked for again, as in `AzureOpenAIService.complete`; what fails later is
    raised where the pieces are read.

    Attributes:
        attempts: Every request that was made for it, the one that is read last; complete once the block is left. Where
            a stream does not say what it used, its text is counted.
    """

    def __init__(self, lanes: Sequence[ChatLane], course: ChatCourse[str], deadline: float | None) -> None:
        self.attempts = ()
        self._lanes = lanes
        self._course = course
        self._limit = Limit(deadline, time.monotonic)
        self._open_stream: OpenStream | None = None
        self._ended = False

    async def __aenter__(self) -> Self:
        """Ask until an answer begins."""
        route = Route(self._lanes, time.monotonic)
        while self._open_stream is None:
            try:
                self._open_stream = await self._open(route.lane)
            except CompletionError as error:
                error.attempts = self.attempts
                pause = recovered(self._course, route, error, self._limit)
                await asyncio.sleep(pause)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; what was sent and not read to its end stays charged."""
        stream, self._open_stream = self._open_stream, None
        if stream is not None:
            await stream.close(cancelled=isinstance(error, asyncio.CancelledError))
            self._end(stream, stream.result.outcome if isinstance(stream.result, CompletionError) else "ok")

    async def __aiter__(self) -> AsyncIterator[str]:
        """Pass on the pieces.

        Raises:
            CompletionError: The answer is filtered, refused, cut off, or broken off.
        """
        stream = self._open_stream
        if stream is None:
            raise RuntimeError("a stream is read inside its block: async with service.stream_prompt(…) as stream")
        try:
            async for piece in stream.pieces(self._limit):
                yield piece
            if isinstance(stream.result, Answer):
                self._course.judge(stream.result)
        except CompletionError as error:
            self._end(stream, error.outcome)
            error.attempts = self.attempts
            raise

    async def _open(self, lane: ChatLane) -> OpenStream:
        """Make one attempt, up to its headers."""
        question = self._course.question()
        estimate = Usage(
            prompt_tokens=await lane.prompt_tokens(question), completion_tokens=question.max_completion_tokens
        )
        async with AsyncExitStack() as held:
            reservation = await reserved(lane, estimate, self._limit, held)
            span = held.enter_context(request_span(lane.operation, lane.deployment, estimate.completion_tokens))
            began = time.monotonic()
            opened = await _opened(lane, question, reservation.request_id, self._limit)
            if isinstance(opened, CompletionError):
                tell_answer(span, opened)
                await settle(reservation, opened, estimate)
                self._note(lane, reservation, estimate, began, opened, opened.outcome)
                raise opened
            return OpenStream(opened, lane, reservation, estimate, span, held.pop_all())

    def _end(self, stream: OpenStream, outcome: Outcome) -> None:
        """Remember the attempt that is read, the first time that it is known what came of it."""
        if not self._ended:
            self._ended = True
            self._note(stream.lane, stream.reservation, stream.estimate, stream.began, stream.result, outcome)

    def _note(
        self,
        lane: ChatLane,
        reservation: Reservation,
        estimate: Usage,
        began: float,
        result: Answer | CompletionError,
        outcome: Outcome,
    ) -> None:
        """Remember an attempt."""
        asked = Asked(
            deployment=lane.deployment,
            request_id=reservation.request_id,
            reserved=estimate.total_tokens,
            quota_wait=reservation.waited,
            seconds=time.monotonic() - began,
            result=result,
        )
        self.attempts = (*self.attempts, asked.attempt(outcome))


async def _opened(
    lane: ChatLane, question: Question, request_id: str, limit: Limit
) -> AsyncStream[object] | CompletionError:
    """Send one request, and return its stream or why there is none."""
    try:
        async with asyncio.timeout(limit.left()):
            return await lane.text.open(question, request_id=request_id)
    except CompletionError as error:
        return error
    except TimeoutError:
        return DeadlineExceeded(limit.seconds)
