"""The namespace: its entities by address."""

import asyncio
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from ._basic_queue import BasicQueue
from ._clock import Clock
from ._declarations import Queue, Subscription, Topic
from ._entrance import Entrance
from ._errors import NOT_FOUND, AmqpError
from ._node import Node, QueueNode, TopicNode
from ._queue import QueueCore
from ._topic import TopicCore
from ._types import Value

CBS: Final = "$cbs"
MANAGEMENT_SUFFIX: Final = "/$management"
DEAD_LETTER_SUFFIX: Final = "/$DeadLetterQueue"
SUBSCRIPTIONS: Final = "/Subscriptions/"


class Namespace:
    """All entities: declared up front, found by address.

    Raises:
        ValueError: if two entities have the same path.
    """

    def __init__(self, entities: Iterable[Queue | Topic], clock: Clock) -> None:
        self._nodes: dict[str, QueueNode | TopicNode] = {}
        self._queues: list[tuple[QueueCore, BasicQueue]] = []
        self._topics: list[TopicCore] = []
        for entity in entities:
            if isinstance(entity, Topic):
                self._declare_topic(entity, clock)
            else:
                self._declare_queue(entity, entity.name, clock)

    def node(self, path: str) -> QueueNode | TopicNode:
        """Return the node at a path; paths are compared without regard to case.

        Raises:
            AmqpError: not-found.
        """
        node = self._nodes.get(path.lower())
        if node is None:
            raise AmqpError(NOT_FOUND, f"The messaging entity '{path}' could not be found: declare it up front.")
        return node

    def stats(self) -> dict[str, dict[str, Value]]:
        """Count, entity by entity."""
        topics = {topic.path: _topic_counts(topic) for topic in self._topics}
        return topics | {queue.path: _queue_counts(queue, dead) for queue, dead in self._queues}

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to serve all entities."""
        for node in self._every_node():
            node.open(loop)

    def close(self) -> None:
        """Serve no more."""
        for node in self._every_node():
            node.close()

    def _every_node(self) -> Iterable[Node]:
        return self._nodes.values()

    def _declare_topic(self, topic: Topic, clock: Clock) -> None:
        subscriptions = [
            self._declare_queue(subscription, f"{topic.name}{SUBSCRIPTIONS}{subscription.name}", clock)
            for subscription in topic.all_subscriptions()
        ]
        core = TopicCore(topic, clock, subscriptions)
        self._topics.append(core)
        self._place(topic.name, TopicNode(core))

    def _declare_queue(self, declaration: Queue | Subscription, path: str, clock: Clock) -> QueueCore:
        dead = BasicQueue(path + DEAD_LETTER_SUFFIX, declaration.lock_duration, clock)
        core = QueueCore(declaration, clock, dead, path=path)
        self._queues.append((core, dead))
        self._place(core.path, QueueNode(core))
        self._place(dead.path, QueueNode(dead))
        return core

    def _place(self, path: str, node: QueueNode | TopicNode) -> None:
        if path.lower() in self._nodes:
            raise ValueError(f"{path!r} is declared twice")
        self._nodes[path.lower()] = node


def path_of(address: object) -> str:
    """Reduce a link address, with or without scheme and authority, to the path of an entity."""
    text = str(address)
    return (urlsplit(text).path if "://" in text else text).strip("/")


def _queue_counts(core: QueueCore, dead: BasicQueue) -> dict[str, Value]:
    core.advance()
    return {
        "active": core.active,
        "locked": core.locked,
        "deferred": core.deferred,
        **_entrance_counts(core.entrance),
        "dead_lettered": dead.active + dead.locked + dead.deferred,
        "completed": core.completed,
        "expired": core.expired,
    }


def _topic_counts(core: TopicCore) -> dict[str, Value]:
    core.advance()
    return _entrance_counts(core.entrance)


def _entrance_counts(entrance: Entrance) -> dict[str, Value]:
    return {
        "scheduled": len(entrance.scheduled),
        "enqueued": entrance.enqueued,
        "suppressed": list(entrance.suppressed),
    }
