"""The management node, request by request: what the SDK's links do not reach."""

from uuid import UUID, uuid4

import pytest

from penstock_local_azure._service_bus._authorization import Grants
from penstock_local_azure._service_bus._basic_queue import BasicQueue
from penstock_local_azure._service_bus._cbs import answer_cbs
from penstock_local_azure._service_bus._clock import Clock
from penstock_local_azure._service_bus._declarations import Queue, Topic
from penstock_local_azure._service_bus._encode import encode
from penstock_local_azure._service_bus._errors import AmqpError
from penstock_local_azure._service_bus._management import answer_management
from penstock_local_azure._service_bus._message_sessions import SessionLock
from penstock_local_azure._service_bus._queue import QueueCore
from penstock_local_azure._service_bus._raw_map import RawMap
from penstock_local_azure._service_bus._requests import Reply, Request
from penstock_local_azure._service_bus._sections import Message
from penstock_local_azure._service_bus._topic import TopicCore
from penstock_local_azure._service_bus._types import Array, Symbol, Timestamp, UInt, Value


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

    def settle(self, status: str, token: UUID | None = None, details: dict[str, Value] | None = None) -> Reply:
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
    details: dict[str, Value] = {"deadletter-reason": "why", "deadletter-description": "how"}

    assert node.settle("suspended", details=details).status == 200

    (entry,) = node.dead.peek(0, 1)
    assert entry.message.application_properties.get("DeadLetterErrorDescription") == "how"


def test_a_token_that_holds_no_lock_is_gone(node: Node) -> None:
    reply = node.settle("completed", token=uuid4())

    assert (reply.status, reply.condition) == (410, "com.microsoft:message-lock-lost")


def test_a_message_is_deferred_by_its_token_and_fetched_by_its_number(node: Node) -> None:
    assert node.settle("defered").status == 200
    assert node.queue.deferred == 1

    fetched = node.ask("receive-by-sequence-number", {"sequence-numbers": Array([1]), "receiver-settle-mode": UInt(1)})

    (message,) = fetched.body["messages"]
    assert node.settle("completed", token=message["lock-token"]).status == 200
    assert node.queue.completed == 1


def test_a_deferred_message_is_taken_for_good_in_the_other_mode(node: Node) -> None:
    node.settle("defered")

    fetched = node.ask("receive-by-sequence-number", {"sequence-numbers": Array([1]), "receiver-settle-mode": UInt(0)})

    assert [set(message) for message in fetched.body["messages"]] == [{"message"}]
    assert node.queue.completed == 1


def test_properties_are_changed_on_the_way(node: Node) -> None:
    node.settle("abandoned", details={"properties-to-modify": {"tried": "once"}})

    (entry,) = node.queue.peek(0, 1)
    assert entry.message.application_properties.get("tried") == "once"


def test_a_status_that_is_not_built_is_refused_by_name(node: Node) -> None:
    reply = node.settle("renewed")

    assert (reply.status, reply.condition) == (501, "amqp:not-implemented")
    assert "renewed" in reply.description
    assert node.queue.locked == 1


@pytest.mark.parametrize("operation", ["add-rule", "remove-rule", "enumerate-rules", "peek-more"])
def test_an_operation_that_is_not_built_is_refused_by_name(node: Node, operation: str) -> None:
    reply = node.ask(operation, {})

    assert (reply.status, reply.condition) == (501, "amqp:not-implemented")
    assert operation in reply.description


def test_a_topic_schedules_and_cancels_and_does_nothing_else() -> None:
    clock = Clock(lambda: 0.0, lambda: 0.0)
    topic = TopicCore(Topic("t"), clock, [])
    due = RawMap(2, encode(Symbol("x-opt-scheduled-enqueue-time")) + encode(Timestamp(60_000)))
    message = Message().encoded(due, 0)

    def ask(operation: str, body: Value) -> Reply:
        return answer_management(topic, Request("1", None, {"operation": f"com.microsoft:{operation}"}, body))

    scheduled = ask("schedule-message", {"messages": [{"message": message}]})
    assert scheduled.body == {"sequence-numbers": [1]}
    assert ask("cancel-scheduled-message", {"sequence-numbers": [1]}).status == 200
    assert ask("peek-message", {"from-sequence-number": 1, "message-count": 1}).status == 501


def test_nothing_is_scheduled_in_a_dead_letter_queue(node: Node) -> None:
    request = Request("1", None, {"operation": "com.microsoft:schedule-message"}, {"messages": []})

    assert answer_management(node.dead, request).status == 501


class Holder:
    """A receiver of sessions that does not mind what becomes of them."""

    name = "my link"

    def granted(self, lock: SessionLock) -> None:
        """Nothing to do."""

    def refused(self, error: AmqpError) -> None:
        """Nothing to do."""

    def expired(self) -> None:
        """Nothing to do."""


class Grouped:
    """A queue with sessions, of which "mine" is held."""

    def __init__(self) -> None:
        clock = Clock(lambda: 0.0, lambda: 0.0)
        self.queue = QueueCore(Queue("q", requires_session=True), clock, BasicQueue("dead", 60.0, clock))
        assert self.queue.sessions is not None
        self.queue.sessions.accept(Holder(), "mine")

    def ask(self, operation: str, body: Value, *, link: str = "my link") -> Reply:
        properties = {"operation": f"com.microsoft:{operation}", "associated-link-name": link}
        return answer_management(self.queue, Request("1", None, properties, body))


@pytest.fixture
def grouped() -> Grouped:
    return Grouped()


def test_a_sessions_state_is_set_got_and_cleared(grouped: Grouped) -> None:
    for state in (b"half done", None):
        assert grouped.ask("set-session-state", {"session-id": "mine", "session-state": state}).body == {}
        assert grouped.ask("get-session-state", {"session-id": "mine"}).body == {"session-state": state}


def test_a_sessions_lock_is_renewed(grouped: Grouped) -> None:
    assert grouped.ask("renew-session-lock", {"session-id": "mine"}).body == {"expiration": 60_000}


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("renew-session-lock", {}),
        ("get-session-state", {}),
        ("set-session-state", {"session-state": b"x"}),
        ("receive-by-sequence-number", {"sequence-numbers": [1], "receiver-settle-mode": 1}),
        ("update-disposition", {"disposition-status": "completed", "lock-tokens": []}),
    ],
)
@pytest.mark.parametrize(("session_id", "link"), [("mine", "another link"), ("nobodys", "my link")])
def test_a_session_is_its_holders(
    grouped: Grouped, operation: str, body: dict[str, Value], session_id: str, link: str
) -> None:
    reply = grouped.ask(operation, {**body, "session-id": session_id}, link=link)

    assert (reply.status, reply.condition) == (410, "com.microsoft:session-lock-lost")


def test_sessions_are_listed_in_pages(grouped: Grouped) -> None:
    grouped.queue.enqueue([Message(session_id=name) for name in "cabbc"])
    end_of_time = Timestamp(253_402_300_800_000)

    def page(skip: int) -> Reply:
        return grouped.ask("get-message-sessions", {"last-updated-time": end_of_time, "skip": skip, "top": 2})

    assert page(0).body == {"skip": 0, "sessions-ids": ["a", "b"]}
    assert page(2).body == {"skip": 2, "sessions-ids": ["c"]}
    assert page(3).status == 204


def test_sessions_are_not_asked_for_where_there_are_none(node: Node) -> None:
    reply = node.ask("get-session-state", {"session-id": "a"})

    assert (reply.status, reply.condition) == (400, "amqp:not-allowed")


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

    assert answer_cbs(Grants(), request).status == status
