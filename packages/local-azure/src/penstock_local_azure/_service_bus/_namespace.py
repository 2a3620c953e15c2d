"""The namespace: its entities by address, and for each the receivers that share its messages."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol
from urllib.parse import urlsplit

from ._clock import Clock
from ._declarations import Queue
from ._errors import NOT_FOUND, AmqpError
from ._queue import QueueCore
from ._types import Value

CBS: Final = "$cbs"
MANAGEMENT_SUFFIX: Final = "/$management"
DEAD_LETTER_SUFFIX: Final = "/$DeadLetterQueue"


class Outlet(Protocol):
    """A receiver, as the node that serves it sees it."""

    @property
    def ready(self) -> bool:
        """Whether one more message may be sent to it now."""

    def deliver(self) -> None:
        """Send it the next message of its queue."""


class Node:
    """A queue at an address: gives its messages to receivers in turn and keeps its appointments with time."""

    def __init__(self, path: str, core: QueueCore) -> None:
        self.path = path
        self.core = core
        core.changed = self.wake
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outlets: deque[Outlet] = deque()
        self._is_awake = False
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to serve."""
        self._loop = loop
        self.wake()

    def close(self) -> None:
        """Serve no more; what is in the queue stays there."""
        self._loop = None
        self._is_awake = False
        self._cancel_timer()

    def attach(self, outlet: Outlet) -> None:
        """Add a receiver."""
        self._outlets.append(outlet)

    def detach(self, outlet: Outlet) -> None:
        """Remove a receiver; what it holds stays locked until the locks expire."""
        if outlet in self._outlets:
            self._outlets.remove(outlet)

    def wake(self) -> None:
        """See to it that messages flow, once per turn of the event loop however often this is called."""
        if self._loop is not None and not self._is_awake:
            self._is_awake = True
            self._loop.call_soon(self._pump, self._loop)

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver what can be delivered: one message to each receiver in turn."""
        if self._loop is not loop:  # closed since it was woken
            return
        self._is_awake = False
        self.core.advance()
        refused = 0
        while self.core.active and refused < len(self._outlets):
            outlet = self._outlets[0]
            self._outlets.rotate(-1)
            if outlet.ready:
                outlet.deliver()
                refused = 0
            else:
                refused += 1
        self._set_timer(loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the node woken when something is due; an earlier wake-up that is set already will do."""
        due = self.core.next_due()
        if due is None or (self._timer is not None and self._due <= due):
            return
        self._cancel_timer()
        self._due = due
        self._timer = loop.call_later(max(0.0, due - self.core.clock.now()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Namespace:
    """All entities: declared up front, found by address.

    Raises:
        ValueError: if two queues have the same name.
    """

    def __init__(self, queues: Iterable[Queue], clock: Clock) -> None:
        self._nodes: dict[str, Node] = {}
        self._queues: list[tuple[Queue, Node, Node]] = []
        for queue in queues:
            self._declare(queue, clock)

    def node(self, path: str) -> Node:
        """Return the node at a path; paths are compared without regard to case.

        Raises:
            AmqpError: not-found.
        """
        node = self._nodes.get(path.lower())
        if node is None:
            raise AmqpError(NOT_FOUND, f"The messaging entity '{path}' could not be found: declare it up front.")
        return node

    def stats(self) -> dict[str, dict[str, Value]]:
        """Count, queue by queue."""
        return {queue.name: _counts(node.core, dead.core) for queue, node, dead in self._queues}

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to serve all entities."""
        for node in self._nodes.values():
            node.open(loop)

    def close(self) -> None:
        """Serve no more."""
        for node in self._nodes.values():
            node.close()

    def _declare(self, queue: Queue, clock: Clock) -> None:
        if queue.name.lower() in self._nodes:
            raise ValueError(f"the queue {queue.name!r} is declared twice")
        dead_core = QueueCore(queue, clock)
        core = QueueCore(queue, clock, dead_letters=dead_core)
        node, dead = Node(queue.name, core), Node(queue.name + DEAD_LETTER_SUFFIX, dead_core)
        self._nodes[node.path.lower()], self._nodes[dead.path.lower()] = node, dead
        self._queues.append((queue, node, dead))


def path_of(address: object) -> str:
    """Reduce a link address, with or without scheme and authority, to the path of an entity."""
    text = str(address)
    return (urlsplit(text).path if "://" in text else text).strip("/")


def _counts(core: QueueCore, dead: QueueCore) -> dict[str, Value]:
    core.advance()
    return {
        "active": core.active,
        "locked": core.locked,
        "scheduled": core.scheduled,
        "dead_lettered": dead.active + dead.locked,
        "completed": core.completed,
        "enqueued": core.enqueued,
        "suppressed": list(core.suppressed),
    }
