"""Which link an attach asks for: read off the address of its far end."""

from functools import partial
from typing import TYPE_CHECKING, Final

from ._cbs import CBS_DIALECT, answer_cbs
from ._errors import INVALID_FIELD, NOT_ALLOWED, NOT_IMPLEMENTED, AmqpError
from ._incoming import IncomingLink, QueueInlet, RequestInlet
from ._management import MANAGEMENT_DIALECT, answer_management
from ._namespace import CBS, DEAD_LETTER_SUFFIX, MANAGEMENT_SUFFIX, Namespace, path_of
from ._outgoing import OutgoingLink, QueueOutlet, ReplyOutlet
from ._performatives import RECEIVER, SENDER, Attach
from ._types import Described, Value

if TYPE_CHECKING:
    from ._session import Session

_COORDINATOR: Final = 0x30
"""The descriptor of a target that stands for transactions (part 4, section 4.5.1)."""

_ADDRESS, _FILTER = 0, 7
"""Places of fields in a source or target (part 3, section 3.5)."""


def make_link(session: "Session", attach: Attach, namespace: Namespace) -> IncomingLink | OutgoingLink:
    """Make our end of the link.

    Raises:
        AmqpError: if there is no such entity, or what is asked of it is not built.
    """
    path = _path(attach)
    folded = path.lower()
    if folded == CBS or folded.endswith(MANAGEMENT_SUFFIX):
        return _make_request_link(session, attach, folded, namespace)
    node = namespace.node(path)
    if attach.role == RECEIVER:
        _refuse_filters(attach.source)
        return QueueOutlet(session, attach, node)
    if folded.endswith(DEAD_LETTER_SUFFIX.lower()):
        raise AmqpError(NOT_ALLOWED, f"messages cannot be sent to '{path}'")
    return QueueInlet(session, attach, node)


def _make_request_link(
    session: "Session", attach: Attach, path: str, namespace: Namespace
) -> IncomingLink | OutgoingLink:
    """Make one half of a request-response pair; either half of a queue's needs the queue."""
    answer, dialect = answer_cbs, CBS_DIALECT
    if path != CBS:
        core = namespace.node(path.removesuffix(MANAGEMENT_SUFFIX)).core
        answer, dialect = partial(answer_management, core), MANAGEMENT_DIALECT
    if attach.role == RECEIVER:
        return ReplyOutlet(session, attach, path, _field(attach.target, _ADDRESS))
    return RequestInlet(session, attach, path, answer, dialect)


def address_of(attach: Attach) -> Value:
    """Return the address of a link's far end: its target if the client sends, its source if it receives."""
    return _field(attach.target if attach.role == SENDER else attach.source, _ADDRESS)


def _path(attach: Attach) -> str:
    """Return the path of a link's far end."""
    if attach.target is not None and attach.target.descriptor == _COORDINATOR:
        raise AmqpError(NOT_IMPLEMENTED, "the local Service Bus has no transactions")
    address = address_of(attach)
    if not isinstance(address, str):
        raise AmqpError(INVALID_FIELD, "a link without an address")
    return path_of(address)


def _refuse_filters(source: Described | None) -> None:
    """Refuse what would change which messages arrive: sessions, above all."""
    filters = _field(source, _FILTER)
    if filters:
        names = ", ".join(sorted(map(str, filters)))
        raise AmqpError(NOT_IMPLEMENTED, f"the local Service Bus has no {names} yet")


def _field(terminus: Described | None, place: int) -> Value:
    """Return a field of a source or target; None if it is not there."""
    if terminus is None or not isinstance(terminus.value, list) or len(terminus.value) <= place:
        return None
    return terminus.value[place]
