"""The management node, request by request: what the SDK's links do not reach."""

from uuid import UUID, uuid4

import pytest

from penstock_local_azure._service_bus._basic_queue import BasicQueue
from penstock_local_azure._service_bus._cbs import answer_cbs
from penstock_local_azure._service_bus._clock import Clock
from penstock_local_azure._service_bus._declarations import Queue
from penstock_local_azure._service_bus._management import answer_management
from penstock_local_azure._service_bus._queue import QueueCore
from penstock_local_azure._service_bus._requests import Reply, Request
from penstock_local_azure._service_bus._sections import Message
from penstock_local_azure._service_bus._types import Array, Value


class Node:
    """A queue with one locked message, and its dead-letter queue."""

    def __init__(self) -> None:
        clock = Clock(lambda: 0.0, lambda: 0.0)
        self.dead = BasicQueue("q/$DeadLetterQueue", 60.0, clock)
        self.queue = QueueCore(Queue("q"), clock, self.dead)
        self.queue.enqueue([Message()])
        lock = self.queue.lock()
        assert lock is not None
        self.token = lock.token

    def ask(self, operation: str, body: Value) -> Reply:
        request = Request("1", None, {"operation": f"com.microsoft:{operation}"}, body)
        return answer_management(self.queue, request)

    def settle(self, status: str, token: UUID | None = None, details: dict[str, str] | None = None) -> Reply:
        body = {"disposition-status": status, "lock-tokens": Array([token or self.token])}
        return self.ask("update-disposition", {**body, **(details or {})})


@pytest.fixture
def node() -> Node:
    return Node()


def test_a_message_is_completed_by_its_token(node: Node) -> None:
    assert node.settle("completed").status == 200
    assert (node.queue.locked, node.queue.completed) == (0, 1)


def test_a_message_is_abandoned_by_its_token(node: Node) -> None:
    assert node.settle("abandoned").status == 200
    assert [entry.delivery_count for entry in node.queue.peek(0, 1)] == [1]


def test_a_message_is_dead_lettered_by_its_token(node: Node) -> None:
    details = {"deadletter-reason": "why", "deadletter-description": "how"}

    assert node.settle("suspended", details=details).status == 200

    (entry,) = node.dead.peek(0, 1)
    assert entry.message.application_properties.get("DeadLetterErrorDescription") == "how"


def test_a_token_that_holds_no_lock_is_gone(node: Node) -> None:
    reply = node.settle("completed", token=uuid4())

    assert (reply.status, reply.condition) == (410, "com.microsoft:message-lock-lost")


def test_a_status_that_is_not_built_is_refused_by_name(node: Node) -> None:
    reply = node.settle("renewed")

    assert (reply.status, reply.condition) == (501, "amqp:not-implemented")
    assert "renewed" in reply.description
    assert node.queue.locked == 1


def test_an_operation_that_is_not_built_is_refused_by_name(node: Node) -> None:
    reply = node.ask("add-rule", {})

    assert (reply.status, reply.condition) == (501, "amqp:not-implemented")
    assert "add-rule" in reply.description


def test_a_peek_that_finds_nothing_has_no_content(node: Node) -> None:
    assert node.ask("peek-message", {"from-sequence-number": 2, "message-count": 1}).status == 204


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("peek-message", {}),
        ("peek-message", None),
        ("peek-message", {"from-sequence-number": "x", "message-count": 1}),
        ("schedule-message", {"messages": [{"message": b"noise"}]}),
        ("schedule-message", {"messages": [{}]}),
        ("renew-lock", {"lock-tokens": 7}),
    ],
)
def test_a_malformed_request_is_a_bad_one(node: Node, operation: str, body: Value) -> None:
    reply = node.ask(operation, body)

    assert (reply.status, reply.condition) == (400, "com.microsoft:argument-error")


def test_a_message_that_cannot_be_read_leaves_the_others_of_its_request_out(node: Node) -> None:
    node.ask("schedule-message", {"messages": [{"message": b""}, {"message": b"noise"}]})

    assert node.queue.entrance.enqueued == 1


@pytest.mark.parametrize(
    ("operation", "token_type", "token", "status"),
    [
        ("put-token", "jwt", "a.b.c", 202),
        ("put-token", "servicebus.windows.net:sastoken", "sig", 202),
        ("put-token", "password", "x", 400),
        ("put-token", "jwt", "", 400),
        ("delete-token", "jwt", "a.b.c", 501),
    ],
)
def test_cbs_takes_tokens_and_nothing_else(operation: str, token_type: str, token: str, status: int) -> None:
    request = Request("1", None, {"operation": operation, "type": token_type}, token)

    assert answer_cbs(request).status == status
