"""The attempt loop: estimate, reserve, ask once, report, judge; and again, until there is an answer or an error.

Every request has a reservation of its own, so what is charged and what is sent are the same set. Nothing is held while
the loop waits.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from penstock_token_client import CallStatus, Quota, Reservation

from ._course import Course
from ._engine import Answer, Engine, Question
from ._errors import CompletionError, DeadlineExceeded, EndpointUnavailable
from ._estimate import Estimator
from ._usage import Attempt, Completion, Outcome, Usage

T = TypeVar("T")

_TOO_MANY: Final = 429

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request that was made, and its answer or why there is none."""

    request_id: str
    reserved: int
    quota_wait: float
    seconds: float
    result: Answer | CompletionError

    def attempt(self, outcome: Outcome) -> Attempt:
        """Return the facts to remember."""
        return Attempt(
            request_id=self.request_id,
            reserved=self.reserved,
            usage=self.result.usage if isinstance(self.result, Answer) else None,
            outcome=outcome,
            status=self.result.status,
            quota_wait=self.quota_wait,
            seconds=self.seconds,
        )


class Attempts:
    """Runs courses against one deployment.

    Args:
        quota: Where each attempt's tokens are reserved.
        engine: How to ask.
        estimator: How prompts are counted.
        clock: Seconds that never go back.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        quota: Quota,
        engine: Engine,
        estimator: Estimator,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._quota = quota
        self._engine = engine
        self._estimator = estimator
        self._clock = clock
        self._sleep = sleep

    async def run(self, course: Course[T], deadline: float | None) -> Completion[T]:
        """Ask until there is a valid answer.

        Args:
            course: What to ask, and when to give up.
            deadline: Seconds for everything; None takes as long as it takes.

        Raises:
            CompletionError: There is none; the error carries all attempts.
            QuotaError: There was no quota; see `Quota.reserve`.
        """
        limit = _Limit(deadline, self._clock)
        attempts: list[Attempt] = []
        slept = 0.0
        while True:
            asked = await self._ask(course.question(), limit)
            try:
                value = _judged(course, asked.result)
            except CompletionError as error:
                attempts.append(asked.attempt(error.outcome))
                error.attempts = tuple(attempts)
                pause = course.recover(error)
                if not limit.allows(pause):
                    raise
                _logger.info("request %s failed, asking again in %.1f s: %s", asked.request_id, pause, error)
            else:
                attempts.append(asked.attempt("ok"))
                return Completion(value=value, attempts=tuple(attempts), engine=self._engine.name, retry_wait=slept)
            await self._sleep(pause)
            slept += pause

    async def _ask(self, question: Question, limit: "_Limit") -> Asked:
        """Make one attempt: estimate, reserve, ask, settle."""
        prompt = await self._estimator.prompt_off_loop(question.messages, question.shape)
        largest = question.max_completion_tokens
        reserved = prompt + largest
        async with self._quota.reserve(reserved, max_tokens=largest, deadline=limit.left()) as reservation:
            began = self._clock()
            result = await self._answer(question, reservation.request_id, limit)
            seconds = self._clock() - began
            await _settle(reservation, result, Usage(prompt_tokens=prompt, completion_tokens=largest))
        return Asked(
            request_id=reservation.request_id,
            reserved=reserved,
            quota_wait=reservation.waited,
            seconds=seconds,
            result=result,
        )

    async def _answer(self, question: Question, request_id: str, limit: "_Limit") -> Answer | CompletionError:
        """Ask, and return what came of it; only a cancellation leaves the reservation unsettled, fully charged."""
        try:
            async with asyncio.timeout(limit.left()):
                return await self._engine.ask(question, request_id=request_id)
        except CompletionError as error:
            return error
        except TimeoutError:
            return DeadlineExceeded(limit.seconds)


class _Limit:
    """How much time is left of a deadline."""

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._clock = clock
        self._end = clock() + self.seconds

    def left(self) -> float | None:
        """Return the seconds left, or None if there is no deadline."""
        return None if self._end == math.inf else max(0.0, self._end - self._clock())

    def allows(self, pause: float) -> bool:
        """Tell whether anything is left after a pause."""
        left = self.left()
        return left is None or pause < left


def _judged(course: Course[T], result: Answer | CompletionError) -> T:
    """Return the value of an answer, or raise why there is none."""
    if isinstance(result, CompletionError):
        raise result
    return course.judge(result)


async def _settle(reservation: Reservation, result: Answer | CompletionError, estimate: Usage) -> None:
    """Report what an attempt used; give back what was never sent; keep charged what may have been."""
    if isinstance(result, EndpointUnavailable) and not result.sent:
        await reservation.release()
        return
    used = (result.usage or estimate) if isinstance(result, Answer) else Usage()
    await reservation.report(
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        headers=result.headers,
        status=_status(result),
    )


def _status(result: Answer | CompletionError) -> CallStatus:
    """Say in the quota's words how a call ended."""
    if isinstance(result, Answer):
        return "truncated" if result.finish_reason == "length" else "ok"
    return "429" if result.status == _TOO_MANY else "error"
