"""Nodes: the entities at their addresses, each with the receivers that share its messages and a timer of its own."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ._basic_queue import BasicQueue
from ._clock import Clock
from ._topic import TopicCore


class Outlet(Protocol):
    """A receiver, as the node that serves it sees it."""

    @property
    def ready(self) -> bool:
        """Whether one more message may be sent to it now."""

    def deliver(self) -> None:
        """Send it the next message of its queue."""


class TimedCore(Protocol):
    """What has appointments with time."""

    clock: Clock
    changed: Callable[[], None]

    def advance(self) -> None:
        """Apply everything that is due by now."""

    def next_due(self) -> float | None:
        """Return the instant at which `advance` may next have something to do."""


class Node:
    """An entity at an address: keeps its core's appointments.

    Args:
        core: What is there.
    """

    def __init__(self, core: TimedCore) -> None:
        self._timed = core
        core.changed = self.wake
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_awake = False
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to serve."""
        self._loop = loop
        self.wake()

    def close(self) -> None:
        """Serve no more; what is in the entity stays there."""
        self._loop = None
        self._is_awake = False
        self._cancel_timer()

    def wake(self) -> None:
        """See to it that messages flow, once per turn of the event loop however often this is called."""
        if self._loop is not None and not self._is_awake:
            self._is_awake = True
            self._loop.call_soon(self._pump, self._loop)

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:  # closed since it was woken
            return
        self._is_awake = False
        self._timed.advance()
        self._serve()
        self._set_timer(loop)

    def _serve(self) -> None:
        """Deliver what can be delivered."""

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the node woken when something is due; an earlier wake-up that is set already will do."""
        due = self._timed.next_due()
        if due is None or (self._timer is not None and self._due <= due):
            return
        self._cancel_timer()
        self._due = due
        self._timer = loop.call_later(max(0.0, due - self._timed.clock.now()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class TopicNode(Node):
    """A topic."""

    def __init__(self, core: TopicCore) -> None:
        super().__init__(core)
        self.core = core


class QueueNode(Node):
    """A queue, subscription or dead-letter queue: gives its messages to receivers in turn."""

    def __init__(self, core: BasicQueue) -> None:
        super().__init__(core)
        self.core = core
        self._outlets: deque[Outlet] = deque()

    def attach(self, outlet: Outlet) -> None:
        """Add a receiver."""
        self._outlets.append(outlet)
        self.wake()

    def detach(self, outlet: Outlet) -> None:
        """Remove a receiver; what it holds stays locked until the locks expire."""
        if outlet in self._outlets:
            self._outlets.remove(outlet)

    def _serve(self) -> None:
        """Deliver one message to each receiver in turn, until no receiver is ready or there is nothing for it."""
        if self.core.sessions is not None:
            self.core.sessions.serve()
        refused = 0
        while self.core.active and refused < len(self._outlets):
            outlet = self._outlets[0]
            self._outlets.rotate(-1)
            if outlet.ready:
                outlet.deliver()
                refused = 0
            else:
                refused += 1
