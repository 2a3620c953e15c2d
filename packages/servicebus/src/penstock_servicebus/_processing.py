"""The way of one message: decode it, run the processor, send what it returns, and come to a verdict."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock_servicebus._clock import Clock
from penstock_servicebus._context import working_on
from penstock_servicebus._encoding import Payload, encode_results
from penstock_servicebus._errors import HandlingTimeExceeded, ProcessorCancelled, UndecodableMessage, UnsendableResult
from penstock_servicebus._gate import Gate
from penstock_servicebus._held import Held
from penstock_servicebus._messages import body_of, result_message, retry_copy
from penstock_servicebus._outbox import Outbox
from penstock_servicebus._policy import DeadLetter, Facts, Policy, Repeat, facts_of
from penstock_servicebus._signature import Processor
from penstock_servicebus._statistics import Counts
from penstock_servicebus._verdict import Verdict


@dataclass(frozen=True, slots=True)
class Outboxes:
    """Where messages go: results on, retry copies back to where they came from, if that takes any."""

    results: Outbox
    copies: Outbox | None

    def all(self) -> list[Outbox]:
        """Both, or the one there is."""
        return [self.results] if self.copies is None else [self.results, self.copies]


@dataclass(slots=True)
class _Job:
    """One message on its way."""

    held: Held
    worked: Callable[[], None]
    processing: bool = False

    @property
    def spent(self) -> int:
        """Attempts counted before this one."""
        return self.held.context.attempt - 1


class Processing:
    """Brings messages to a verdict; one instance serves all of a handler's tasks.

    Args:
        processor: The user's function.
        policy: What becomes of failures.
        gate: Where work waits for its environment.
        outboxes: Where messages go.
        counts: What is counted.
        max_handling_time: Seconds from receipt until a message is given up here.
        clock: Time.
    """

    def __init__(
        self,
        processor: Processor,
        *,
        policy: Policy,
        gate: Gate,
        outboxes: Outboxes,
        counts: Counts,
        max_handling_time: float,
        clock: Clock,
    ) -> None:
        self._processor = processor
        self._policy = policy
        self._gate = gate
        self._outboxes = outboxes
        self._counts = counts
        self._max_handling_time = max_handling_time
        self._clock = clock

    async def bring_to_verdict(self, held: Held, worked: Callable[[], None]) -> Verdict:
        """Do all that a message needs before it can be settled.

        Whatever was sent on has been accepted by its queue when this returns. `worked` is called when the processor
        will not run again for this message, which is before anything is sent.
        """
        job = _Job(held, worked)
        try:
            async with asyncio.timeout(self._max_handling_time):
                with working_on(held.context):
                    came_of_it = await self._work(job)
        except TimeoutError:
            if not job.processing:
                return Verdict("released", reason="max_handling_time")
            came_of_it = facts_of(HandlingTimeExceeded(self._max_handling_time))
        return came_of_it if isinstance(came_of_it, Verdict) else await self._end(job, came_of_it)

    async def _work(self, job: _Job) -> Verdict | Facts:
        """Try until there is a verdict or a failure; only an unavailable environment makes it try again here."""
        try:
            value = self._processor.decode(body_of(job.held.message))
        except UndecodableMessage as error:
            return Verdict("dead-lettered", "UndecodableMessage", str(error), type(error).__name__)
        repeats = 0
        while True:
            try:
                payloads = await self._attempt(job, value)
            except Exception as error:  # noqa: BLE001 - the user's code may raise anything; its facts decide
                facts = facts_of(error)
                job.processing = False
            else:
                return await self._send_on(job, payloads)
            decision = self._policy.decide(facts, attempt=job.spent, repeats=repeats)
            if not isinstance(decision, Repeat):
                return facts
            repeats += 1
            self._counts.environment_failures += 1
            await self._gate.pause(decision.delay)

    async def _attempt(self, job: _Job, value: Any) -> list[Payload]:  # noqa: ANN401 - whatever the processor takes
        """Run the processor once, as soon as the environment lets it."""
        async with self._gate.passage():
            job.processing = True
            try:
                result = await self._processor(value, job.held.context)
            except asyncio.CancelledError as error:
                if not _is_being_cancelled():
                    raise ProcessorCancelled from error
                raise
        payloads = encode_results(result)
        job.processing = False
        return payloads

    async def _send_on(self, job: _Job, payloads: list[Payload]) -> Verdict:
        """Send the results; too large a result ends the message."""
        job.worked()
        held = job.held
        messages = [
            result_message(payload, held.identity, index, held.context.trace, held.context.session_id)
            for index, payload in enumerate(payloads)
        ]
        try:
            await self._outboxes.results.send(messages)
        except UnsendableResult as error:
            return Verdict("dead-lettered", "UnsendableResult", str(error), type(error).__name__)
        self._counts.results_sent += len(messages)
        return Verdict("completed")

    async def _end(self, job: _Job, facts: Facts) -> Verdict:
        """An attempt failed: set the message aside, or see to it that it is tried later."""
        job.worked()
        decision = self._policy.decide(facts, attempt=job.spent, repeats=0)
        if isinstance(decision, DeadLetter):
            return Verdict("dead-lettered", decision.reason, decision.description, facts.name)
        if self._outboxes.copies is None:
            await self._gate.rest(min(decision.delay, job.held.context.handling_time_left))
            return Verdict("abandoned", error=facts.name)
        due = datetime.fromtimestamp(self._clock.wall(), UTC) + timedelta(seconds=decision.delay)
        copy = retry_copy(job.held.message, job.held.identity, due, job.held.context.trace)
        await self._outboxes.copies.send([copy])
        return Verdict("retried", error=facts.name)


def _is_being_cancelled() -> bool:
    """Whether somebody cancelled this very task, not only something it was waiting for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
