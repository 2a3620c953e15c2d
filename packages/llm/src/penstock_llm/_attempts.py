"""The attempt loop: estimate, reserve, ask once, report, judge; and again, until there is an answer or an error.

Every request has a reservation of its own, so what is charged and what is sent are the same set. Nothing is held while
the loop waits.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from penstock_token_client import Reservation

from ._engine import Answer
from ._errors import CompletionError, DeadlineExceeded
from ._lane import Lane
from ._limit import Limit
from ._route import Route
from ._settlement import settle
from ._tracing import quota_span, request_span, tell_answer
from ._usage import Attempt, Completion, Outcome, Usage

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_logger = logging.getLogger(__name__)


class Course(Protocol[T_co]):
    """What was asked so far and what to ask next."""

    def question(self) -> Any:  # noqa: ANN401  lanes and courses agree on it
        """Return what to ask next; it says its ``max_completion_tokens``."""

    def judge(self, answer: Answer) -> T_co:
        """Return an answer's value, or raise a `CompletionError`."""

    def recover(self, error: CompletionError) -> float:
        """Prepare the next question and return the seconds to wait before it, or raise the error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request that was made, and its answer or why there is none."""

    deployment: str
    request_id: str
    reserved: int
    quota_wait: float
    seconds: float
    result: Answer | CompletionError

    def attempt(self, outcome: Outcome) -> Attempt:
        """Return the facts to remember."""
        return Attempt(
            deployment=self.deployment,
            request_id=self.request_id,
            reserved=self.reserved,
            usage=self.result.usage if isinstance(self.result, Answer) else None,
            outcome=outcome,
            status=self.result.status,
            quota_wait=self.quota_wait,
            seconds=self.seconds,
        )


class Attempts:
    """Runs courses.

    Args:
        lanes: Where to ask: the later ones only while the earlier ones fail.
        clock: Seconds that never go back.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        lanes: Sequence[Lane[Any]],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lanes = lanes
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
        limit = Limit(deadline, self._clock)
        route = Route(self._lanes, self._clock)
        attempts: list[Attempt] = []
        slept = 0.0
        while True:
            asked = await self._ask(route.lane, course.question(), limit)
            try:
                value = _judged(course, asked.result)
            except CompletionError as error:
                attempts.append(asked.attempt(error.outcome))
                error.attempts = tuple(attempts)
                pause = recovered(course, route, error, limit)
                _logger.info("request %s failed, asking again in %.1f s: %s", asked.request_id, pause, error)
            else:
                attempts.append(asked.attempt("ok"))
                return Completion(
                    value=value, attempts=tuple(attempts), engine=route.lane.engine_name, retry_wait=slept
                )
            await self._sleep(pause)
            slept += pause

    async def _ask(self, lane: Lane[Any], question: Any, limit: Limit) -> Asked:  # noqa: ANN401  as `Course.question`
        """Make one attempt: estimate, reserve, ask, settle."""
        estimate = Usage(
            prompt_tokens=await lane.prompt_tokens(question), completion_tokens=question.max_completion_tokens
        )
        async with AsyncExitStack() as held:
            reservation = await reserved(lane, estimate, limit, held)
            began = self._clock()
            result = await _answer(lane, question, reservation, limit)
            seconds = self._clock() - began
            await settle(reservation, result, estimate)
        if isinstance(result, Answer):
            await lane.learn(question, result)
        return Asked(
            deployment=lane.deployment,
            request_id=reservation.request_id,
            reserved=estimate.total_tokens,
            quota_wait=reservation.waited,
            seconds=seconds,
            result=result,
        )


async def reserved(lane: Lane[Any], estimate: Usage, limit: Limit, held: AsyncExitStack) -> Reservation:
    """Reserve what an attempt may use at most.

    Raises:
        RuntimeError: The deployment's service was closed.
    """
    _check_open(lane)
    with quota_span(lane.deployment, estimate.total_tokens):
        reservation = await held.enter_async_context(
            lane.quota.reserve(estimate.total_tokens, max_tokens=estimate.completion_tokens, deadline=limit.left())
        )
    if lane.closed:
        await reservation.release()
    _check_open(lane)
    lane.suggested_max_tokens = reservation.suggested_max_tokens
    return reservation


def _check_open(lane: Lane[Any]) -> None:
    """Refuse to ask where nothing can be sent any more."""
    if lane.closed:
        raise RuntimeError(f"the service of deployment {lane.deployment} was closed: it asks nothing more")


def recovered(course: Course[Any], route: Route[Any], error: CompletionError, limit: Limit) -> float:
    """Prepare the next attempt, and return the seconds to wait before it; raise the error if there is to be none."""
    if route.turn(error):
        return 0.0
    pause = course.recover(error)
    if not limit.allows(pause):
        raise error
    route.start_over()
    return pause


async def _answer(lane: Lane[Any], question: Any, reservation: Reservation, limit: Limit) -> Answer | CompletionError:  # noqa: ANN401  as `Course.question`
    """Ask, and return what came of it; only a cancellation leaves the reservation unsettled, fully charged."""
    with request_span(lane.operation, lane.deployment, question.max_completion_tokens) as span:
        try:
            async with asyncio.timeout(limit.left()):
                result: Answer | CompletionError = await lane.ask(question, request_id=reservation.request_id)
        except CompletionError as error:
            result = error
        except TimeoutError:
            result = DeadlineExceeded(limit.seconds)
        tell_answer(span, result)
        return result


def _judged(course: Course[T], result: Answer | CompletionError) -> T:
    """Return the value of an answer, or raise why there is none."""
    if isinstance(result, CompletionError):
        raise result
    return course.judge(result)
