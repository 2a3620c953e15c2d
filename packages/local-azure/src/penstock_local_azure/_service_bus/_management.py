"""The management node of an entity, `<entity>/$management`: which operations it has, and how they are answered.

Operations and field names: Service Bus documentation, "AMQP 1.0: request-response-based operations".
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

from ._basic_queue import BasicQueue
from ._decode import DecodeError
from ._errors import (
    ARGUMENT_ERROR,
    MESSAGE_LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_IMPLEMENTED,
    SESSION_LOCK_LOST,
    AmqpError,
)
from ._message_operations import (
    cancel_scheduled,
    peek,
    receive_deferred,
    renew_lock,
    schedule,
    update_disposition,
)
from ._queue import QueueCore
from ._requests import Dialect, Reply, Request
from ._session_operations import get_state, list_sessions, renew_session_lock, set_state
from ._topic import TopicCore
from ._types import Value

Answer: TypeAlias = dict[str, Value] | None

MANAGEMENT_DIALECT: Final = Dialect("statusCode", "statusDescription", "errorCondition")

_VENDOR: Final = "com.microsoft:"
_STATUSES: Final = {MESSAGE_LOCK_LOST: 410, SESSION_LOCK_LOST: 410, MESSAGE_NOT_FOUND: 404, NOT_IMPLEMENTED: 501}


def answer_management(core: BasicQueue | TopicCore, request: Request) -> Reply:
    """Do what a request asks of an entity; whatever is not built is refused by name."""
    try:
        body = _find(core, request.operation)(request)
    except AmqpError as error:
        return Reply(_STATUSES.get(error.condition, 400), error.description, condition=error.condition)
    except (KeyError, TypeError, DecodeError) as error:
        what = f"{request.operation} with a malformed request: {type(error).__name__}"
        return Reply(400, what, condition=ARGUMENT_ERROR)
    return Reply(204, "No Content", {}) if body is None else Reply(200, "OK", body)


def _find(core: BasicQueue | TopicCore, operation: str) -> Callable[[Request], Answer]:
    """Return what does an operation to an entity."""
    name = operation.removeprefix(_VENDOR)
    if name in _AT_THE_ENTRANCE and isinstance(core, QueueCore | TopicCore):
        return partial(_AT_THE_ENTRANCE[name], core)
    if name in _IN_A_QUEUE and isinstance(core, BasicQueue):
        return partial(_IN_A_QUEUE[name], core)
    raise AmqpError(NOT_IMPLEMENTED, f"the local Service Bus has no operation {operation!r} for '{core.path}'")


_AT_THE_ENTRANCE: Final[Mapping[str, Callable[[QueueCore | TopicCore, Request], Answer]]] = {
    "schedule-message": schedule,
    "cancel-scheduled-message": cancel_scheduled,
}
_IN_A_QUEUE: Final[Mapping[str, Callable[[BasicQueue, Request], Answer]]] = {
    "peek-message": peek,
    "receive-by-sequence-number": receive_deferred,
    "renew-lock": renew_lock,
    "update-disposition": update_disposition,
    "get-message-sessions": list_sessions,
    "get-session-state": get_state,
    "renew-session-lock": renew_session_lock,
    "set-session-state": set_state,
}
