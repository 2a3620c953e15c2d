"""Management operations on messages: peek, schedules, deferred messages, locks, settlement without a link."""

from typing import Final

from ._basic_queue import BasicQueue
from ._errors import NOT_IMPLEMENTED, AmqpError
from ._marks import write_marked
from ._queue import QueueCore
from ._requests import Request
from ._sections import read_message
from ._topic import TopicCore
from ._types import Array, Timestamp, Value

_PEEK_LIMIT: Final = 250
"""Messages per peek, however many are asked for: callers page on."""

_SETTLES_FIRST: Final = 0
"""The receiver settle mode in which a message is gone once it is sent."""


def schedule(core: QueueCore | TopicCore, request: Request) -> dict[str, Value]:
    """Take messages in, all or none."""
    messages = [read_message(item["message"]) for item in request.body["messages"]]
    return {"sequence-numbers": Array(core.enqueue(messages))}


def cancel_scheduled(core: QueueCore | TopicCore, request: Request) -> dict[str, Value]:
    """Take scheduled messages out again."""
    for number in request.body["sequence-numbers"]:
        core.cancel(number)
    return {}


def peek(core: BasicQueue, request: Request) -> dict[str, Value] | None:
    """Show messages in whatever state, of one message session or of all."""
    body = request.body
    limit = min(body["message-count"], _PEEK_LIMIT)
    entries = core.peek(body["from-sequence-number"], limit, body.get("session-id"))
    return {"messages": [{"message": write_marked(entry)} for entry in entries]} if entries else None


def receive_deferred(core: BasicQueue, request: Request) -> dict[str, Value]:
    """Hand out deferred messages by their numbers, locked or for good."""
    numbers = list(request.body["sequence-numbers"])
    session_id = _session_in_use(core, request)
    if request.body["receiver-settle-mode"] == _SETTLES_FIRST:
        entries = core.take_deferred(numbers, session_id)
        return {"messages": [{"message": write_marked(entry)} for entry in entries]}
    locks = core.lock_deferred(numbers, session_id)
    messages = [(lock.token, write_marked(lock.entry, core.clock.timestamp(lock.expires))) for lock in locks]
    return {"messages": [{"lock-token": token, "message": message} for token, message in messages]}


def renew_lock(core: BasicQueue, request: Request) -> dict[str, Value]:
    """Let the locks of messages last longer."""
    expirations = [core.renew(token) for token in list(request.body["lock-tokens"])]
    return {"expirations": Array(Timestamp(core.clock.timestamp(instant)) for instant in expirations)}


def update_disposition(core: BasicQueue, request: Request) -> dict[str, Value]:
    """Settle messages by their lock tokens, whatever link or request they came by."""
    body = request.body
    status = body["disposition-status"]
    _session_in_use(core, request)
    for token in list(body["lock-tokens"]):
        core.amend(token, body.get("properties-to-modify") or {})
        match status:
            case "completed":
                core.complete(token)
            case "abandoned":
                core.abandon(token)
            case "defered":
                core.defer(token)
            case "suspended":
                core.dead_letter(token, body.get("deadletter-reason"), body.get("deadletter-description"))
            case _:
                raise AmqpError(NOT_IMPLEMENTED, f"the local Service Bus has no disposition status {status!r}")
    return {}


def _session_in_use(core: BasicQueue, request: Request) -> str | None:
    """Return the message session a request is about, which its sender must hold; None where there are no sessions."""
    if core.sessions is None:
        return None
    core.advance()
    return core.sessions.held(request.body["session-id"], request.link_name).session_id
