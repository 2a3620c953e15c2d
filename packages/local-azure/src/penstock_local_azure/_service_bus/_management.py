"""The management node of a queue, `<queue>/$management`: peek, lock renewal, schedules, settlement without a link.

Operations and field names: Service Bus documentation, "AMQP 1.0: request-response-based operations".
"""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from ._decode import DecodeError
from ._errors import ARGUMENT_ERROR, MESSAGE_LOCK_LOST, MESSAGE_NOT_FOUND, NOT_IMPLEMENTED, AmqpError
from ._marks import write_marked
from ._queue import QueueCore
from ._requests import Dialect, Reply, Request
from ._sections import read_message
from ._types import Array, Timestamp, Value

MANAGEMENT_DIALECT: Final = Dialect("statusCode", "statusDescription", "errorCondition")

_VENDOR = "com.microsoft:"
_STATUSES = {MESSAGE_LOCK_LOST: 410, MESSAGE_NOT_FOUND: 404, NOT_IMPLEMENTED: 501}
_PEEK_LIMIT = 250
"""Messages per peek, however many are asked for: callers page on."""


def answer_management(core: QueueCore, request: Request) -> Reply:
    """Do what a request asks of a queue; whatever is not built is refused by name."""
    operation = _OPERATIONS.get(request.operation.removeprefix(_VENDOR))
    if operation is None:
        what = f"the local Service Bus has no management operation {request.operation!r}"
        return Reply(501, what, condition=NOT_IMPLEMENTED)
    try:
        body = operation(core, request.body)
    except AmqpError as error:
        return Reply(_STATUSES.get(error.condition, 400), error.description, condition=error.condition)
    except (KeyError, TypeError, DecodeError) as error:
        what = f"{request.operation} with a malformed request: {type(error).__name__}"
        return Reply(400, what, condition=ARGUMENT_ERROR)
    return Reply(204, "No Content", {}) if body is None else Reply(200, "OK", body)


def _renew_lock(core: QueueCore, body: dict[str, Value]) -> dict[str, Value]:
    expirations = [core.renew(token) for token in _tokens(body)]
    return {"expirations": Array(Timestamp(core.clock.timestamp(instant)) for instant in expirations)}


def _update_disposition(core: QueueCore, body: dict[str, Value]) -> dict[str, Value]:
    status = body["disposition-status"]
    for token in _tokens(body):
        match status:
            case "completed":
                core.complete(token)
            case "abandoned":
                core.abandon(token)
            case "suspended":
                core.dead_letter(token, body.get("deadletter-reason"), body.get("deadletter-description"))
            case _:
                raise AmqpError(NOT_IMPLEMENTED, f"the local Service Bus has no disposition status {status!r}")
    return {}


def _peek(core: QueueCore, body: dict[str, Value]) -> dict[str, Value] | None:
    entries = core.peek(body["from-sequence-number"], min(body["message-count"], _PEEK_LIMIT))
    return {"messages": [{"message": write_marked(entry)} for entry in entries]} if entries else None


def _schedule(core: QueueCore, body: dict[str, Value]) -> dict[str, Value]:
    messages = [read_message(item["message"]) for item in body["messages"]]
    return {"sequence-numbers": Array(core.enqueue(message) for message in messages)}


def _cancel_scheduled(core: QueueCore, body: dict[str, Value]) -> dict[str, Value]:
    for number in body["sequence-numbers"]:
        core.cancel(number)
    return {}


def _tokens(body: dict[str, Value]) -> list[UUID]:
    return list(body["lock-tokens"])


_OPERATIONS: dict[str, Callable[[QueueCore, Value], dict[str, Value] | None]] = {
    "renew-lock": _renew_lock,
    "update-disposition": _update_disposition,
    "peek-message": _peek,
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel_scheduled,
}
