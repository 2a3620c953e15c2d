"""Management operations on message sessions: their locks, their states, and which there are."""

from typing import Final

from ._basic_queue import BasicQueue
from ._errors import NOT_ALLOWED, AmqpError
from ._message_sessions import MessageSessions
from ._requests import Request
from ._types import Array, Timestamp, Value

_END_OF_TIME: Final = 253_402_300_800_000
"""What a client gives as `last-updated-time`, in milliseconds since the epoch, that wants to see all sessions."""


def renew_session_lock(core: BasicQueue, request: Request) -> dict[str, Value]:
    """Let a session's lock last longer."""
    sessions, session_id = _sessions(core), request.body["session-id"]
    instant = sessions.renew(session_id, request.link_name)
    return {"expiration": Timestamp(core.clock.timestamp(instant))}


def get_state(core: BasicQueue, request: Request) -> dict[str, Value]:
    """Tell a session's state to its holder."""
    sessions, session_id = _sessions(core), request.body["session-id"]
    sessions.held(session_id, request.link_name)
    return {"session-state": sessions.state(session_id)}


def set_state(core: BasicQueue, request: Request) -> dict[str, Value]:
    """Keep a state with a session for its holder, and for those who come after."""
    sessions, session_id = _sessions(core), request.body["session-id"]
    sessions.held(session_id, request.link_name)
    sessions.set_state(session_id, request.body["session-state"])
    return {}


def list_sessions(core: BasicQueue, request: Request) -> dict[str, Value] | None:
    """List sessions with a message or a state; or, after a given time, those whose state was set since."""
    sessions, body = _sessions(core), request.body
    is_all = body["last-updated-time"] >= _END_OF_TIME
    ids = core.session_ids() if is_all else sorted(sessions.with_state(body["last-updated-time"]))
    page = ids[body["skip"] : body["skip"] + body["top"]]
    return {"skip": body["skip"], "sessions-ids": Array(page)} if page else None


def _sessions(core: BasicQueue) -> MessageSessions:
    if core.sessions is None:
        raise AmqpError(NOT_ALLOWED, f"'{core.path}' does not require sessions")
    core.advance()
    return core.sessions
