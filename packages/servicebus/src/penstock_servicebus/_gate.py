"""Where work waits for its environment: the breaker's answers, made awaitable."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator

from penstock_servicebus._breaker import Admission, Breaker, BreakerStatus
from penstock_servicebus._policy import Facts, facts_of


class Gate:
    """Lets work through one breaker and knows which tasks are waiting there, or pausing, for the environment only."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._changed = asyncio.Event()
        self._paused = False
        self._closing = asyncio.Event()
        self._waiting: set[asyncio.Task[object]] = set()

    @property
    def waiting(self) -> int:
        """How many tasks wait for nothing but the environment."""
        return len(self._waiting)

    @property
    def is_shut(self) -> bool:
        """Whether the breaker is open."""
        return self._breaker.is_open

    def may_take(self, held: int) -> bool:
        """Whether a message may be received; `held` counts those that are held, or being asked for.

        Always while the breaker is closed; while it is open only the probe, if nothing held can be it.
        """
        return not self._breaker.is_open or (held == 0 and self._breaker.probe_due)

    def shut_down(self) -> None:
        """End all waiting: tasks that wait for the environment only are cancelled, now and from now on."""
        self._closing.set()
        for task in self._waiting:
            task.cancel()

    def status(self) -> BreakerStatus:
        """The breaker as people see it."""
        return self._breaker.status()

    @contextlib.asynccontextmanager
    async def passage(self) -> AsyncIterator[None]:
        """Wait until the breaker lets this task through, and tell it how the work inside ended.

        Anything but an environment failure counts as a success: the environment answered, or was not needed.
        """
        admission = await self._enter()
        try:
            yield
        except asyncio.CancelledError:
            self._breaker.withdrew(probe=admission.probe)
            raise
        except Exception as error:
            self._learn(admission, facts_of(error))
            raise
        else:
            self._breaker.succeeded()
        finally:
            if admission.probe or self._paused != self._breaker.is_open:
                self._announce()

    async def rest(self, delay: float) -> None:
        """Wait before an attempt that failed is given back; at a stop that happens at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._closing.wait()

    async def pause(self, delay: float) -> None:
        """Wait before this task tries its environment again."""
        with self._counted_as_waiting():
            await asyncio.sleep(delay)

    def _learn(self, admission: Admission, facts: Facts) -> None:
        """Tell the breaker what an error says about the environment."""
        if facts.environment:
            self._breaker.failed(facts.name, probe=admission.probe, retry_after=facts.retry_after)
        else:
            self._breaker.succeeded()

    async def _enter(self) -> Admission:
        """Wait until the breaker lets this task through."""
        admission = self._breaker.admit()
        if admission.wait == 0:
            return admission
        with self._counted_as_waiting():
            while admission.wait > 0:
                changed = self._changed
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if admission.wait == math.inf else admission.wait):
                        await changed.wait()
                admission = self._breaker.admit()
        return admission

    def _announce(self) -> None:
        """Let everyone who waits ask again."""
        self._paused = self._breaker.is_open
        self._changed.set()
        self._changed = asyncio.Event()

    @contextlib.contextmanager
    def _counted_as_waiting(self) -> Iterator[None]:
        task = asyncio.current_task()
        if task is None or self._closing.is_set():
            raise asyncio.CancelledError
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)
