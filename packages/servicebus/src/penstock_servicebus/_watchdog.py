"""Noticing that the event loop stands still, and what keeps it: then no lock is renewed and nothing is settled.

A task of the loop measures how late it is woken. While it is late, a thread looks at what the loop's thread is doing:
afterwards nobody could tell.
"""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType

from penstock_servicebus._signature import Processor
from penstock_servicebus._statistics import Counts

_logger = logging.getLogger(__name__)

STANDSTILL = 1.0
"""Seconds of lateness that are counted, and worth a word."""

_BEAT = 0.25  # s between two measurements
_SUSPICIOUS = STANDSTILL / 2  # s of lateness at which the thread looks: in time for whatever becomes a standstill
_QUIET = 60.0  # s between two warnings


class Watchdog:
    """Watches the loop it runs in.

    Args:
        processor: Who is suspected first.
        counts: What is counted.
        now: Monotonic clock.
    """

    def __init__(self, processor: Processor, counts: Counts, now: Callable[[], float] = time.monotonic) -> None:
        self._processor = processor
        self._counts = counts
        self._now = now
        self._beat = now()
        self._seen = ""
        self._quiet_until = now()
        self._over = threading.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        loop_thread = threading.get_ident()
        thread = threading.Thread(target=self._look_on, args=(loop_thread,), name="penstock-watchdog", daemon=True)
        thread.start()
        try:
            while True:
                self._beat = self._now()
                await asyncio.sleep(_BEAT)
                self.woke(self._now() - self._beat - _BEAT)
        finally:
            self._over.set()
            thread.join()

    def woke(self, late: float) -> None:
        """The loop turned, so many seconds later than it should have."""
        seen, self._seen = self._seen, ""
        if late < STANDSTILL:
            return
        self._counts.standstills += 1
        if self._now() >= self._quiet_until:
            self._quiet_until = self._now() + _QUIET
            _logger.warning(
                "the event loop stood still for %.1f s in %s; locks are not renewed meanwhile: "
                "run what computes or waits in a thread",
                late,
                seen or f"a function that nobody saw ({self._processor.name} is the processor)",
            )

    def culprit(self, frame: FrameType | None) -> str:
        """Name the function a thread is in; and the processor, if that called it."""
        inner = frame
        while frame is not None:
            if frame.f_code is self._processor.code:
                return self._processor.name if inner is frame else f"{self._processor.name}, in {_name(inner)}"
            frame = frame.f_back
        return _name(inner)

    def _look_on(self, loop_thread: int) -> None:
        """Look what the loop is doing while it is late."""
        while not self._over.wait(_BEAT):
            if not self._seen and self._now() - self._beat - _BEAT > _SUSPICIOUS:
                frames = sys._current_frames()  # noqa: SLF001 - documented, "for internal and specialized purposes"
                self._seen = self.culprit(frames.get(loop_thread))


def _name(frame: FrameType | None) -> str:
    """A function's module and qualified name."""
    if frame is None:
        return ""
    code: CodeType = frame.f_code
    return f"{frame.f_globals.get('__name__', '?')}.{code.co_qualname}"
