"""Time as an argument: the two clocks a worker reads, so that tests can turn their hands."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks of one handler; durations use `monotonic`, what the broker stamps uses `wall`."""

    monotonic: Callable[[], float] = time.monotonic
    """Seconds that never step."""

    wall: Callable[[], float] = time.time
    """Seconds since the Unix epoch, UTC."""
