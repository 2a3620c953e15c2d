"""Which link an attach asks for: read off the address of its far end."""

from functools import partial
from typing import TYPE_CHECKING, Final

from ._authorization import Claim
from ._cbs import CBS_DIALECT, answer_cbs
from ._declarations import Queue
from ._errors import NOT_ALLOWED, AmqpError
from ._incoming import EntityInlet, IncomingLink, RequestInlet
from ._management import MANAGEMENT_DIALECT, answer_management
from ._namespace import CBS, MANAGEMENT_SUFFIX, Namespace
from ._node import QueueNode, TopicNode
from ._outgoing import OutgoingLink, QueueOutlet, ReplyOutlet
from ._performatives import RECEIVER, SENDER, Attach
from ._queue import QueueCore
from ._session_outlet import SessionOutlet
from ._terminus import asks_for_session, read_address, read_path
from ._topic import TopicCore

if TYPE_CHECKING:
    from ._session import Session

_NEEDS_SESSION: Final = (
    "It is not possible for an entity that requires sessions to create a non-sessionful message receiver."
)
_HAS_NO_SESSIONS: Final = "A sessionful message receiver cannot be created on an entity that does not require sessions."


def claim_of(attach: Attach) -> Claim:
    """Return what an attach needs to be allowed.

    Raises:
        AmqpError: if it does not say what it is about.
    """
    if attach.role == SENDER:
        return Claim(attach.name, "Send", read_path(attach.target))
    return Claim(attach.name, "Listen", read_path(attach.source))


def make_link(session: "Session", attach: Attach, namespace: Namespace) -> IncomingLink | OutgoingLink:
    """Make our end of the link.

    Raises:
        AmqpError: if there is no such entity, or what is asked of it is not possible or not built.
    """
    path = read_path(attach.target if attach.role == SENDER else attach.source)
    folded = path.lower()
    if folded == CBS or folded.endswith(MANAGEMENT_SUFFIX):
        return _make_request_link(session, attach, folded, namespace)
    node = namespace.node(path)
    if attach.role == RECEIVER:
        return _make_outlet(session, attach, node)
    return EntityInlet(session, attach, _destination(node))


def _make_outlet(session: "Session", attach: Attach, node: QueueNode | TopicNode) -> QueueOutlet:
    """Make a link out of a queue."""
    if isinstance(node, TopicNode):
        raise AmqpError(NOT_ALLOWED, f"messages cannot be received from the topic '{node.core.path}' itself")
    sessions = node.core.sessions
    if not asks_for_session(attach.source):
        if sessions is not None:
            raise AmqpError(NOT_ALLOWED, _NEEDS_SESSION)
        return QueueOutlet(session, attach, node)
    if sessions is None:
        raise AmqpError(NOT_ALLOWED, _HAS_NO_SESSIONS)
    return SessionOutlet(session, attach, node, sessions)


def _destination(node: QueueNode | TopicNode) -> QueueCore | TopicCore:
    """Return what a sender's messages go to."""
    core = node.core
    if isinstance(core, TopicCore) or (isinstance(core, QueueCore) and isinstance(core.declaration, Queue)):
        return core
    raise AmqpError(NOT_ALLOWED, f"messages cannot be sent to '{core.path}'")


def _make_request_link(
    session: "Session", attach: Attach, path: str, namespace: Namespace
) -> IncomingLink | OutgoingLink:
    """Make one half of a request-response pair; either half of an entity's needs the entity."""
    answer, dialect = partial(answer_cbs, session.grants), CBS_DIALECT
    if path != CBS:
        core = namespace.node(path.removesuffix(MANAGEMENT_SUFFIX)).core
        answer, dialect = partial(answer_management, core), MANAGEMENT_DIALECT
    if attach.role == RECEIVER:
        return ReplyOutlet(session, attach, path, read_address(attach.target))
    return RequestInlet(session, attach, path, answer, dialect)
