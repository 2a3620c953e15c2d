"""What a frame is about: which operation on which entity, as the fault script names them."""

from typing import TYPE_CHECKING, NamedTuple

from ._decode import DecodeError
from ._faults import Operation
from ._namespace import CBS, MANAGEMENT_SUFFIX, path_of
from ._performatives import RECEIVER, SENDER, Attach, Disposition, Performative, Transfer, decode_performative
from ._requests import Request, read_request
from ._terminus import read_address

if TYPE_CHECKING:
    from ._connection import Connection

_RENEWALS = ("com.microsoft:renew-lock", "com.microsoft:renew-session-lock")


class Step(NamedTuple):
    """An operation, and the frame that asks for it."""

    operation: Operation
    entity: str
    channel: int
    handle: int
    said: Performative
    payload: bytes = b""
    delivery: int | None = None
    """The delivery that an answer names."""
    request: Request | None = None
    """What a renewal or a token came as."""


class Steps:
    """Reads the frames of one connection; `note` sees every attach, the rest only what might go wrong."""

    def __init__(self, engine: "Connection") -> None:
        self._engine = engine
        self._paths: dict[tuple[int, int], str] = {}
        self._begun: dict[tuple[int, int], int | None] = {}

    def note(self, channel: int, attach: Attach) -> None:
        """Remember what a handle stands for."""
        far_end = attach.target if attach.role == SENDER else attach.source
        self._paths[channel, attach.handle] = path_of(read_address(far_end))

    def asked(self, channel: int, said: Performative, payload: bytes) -> Step | None:
        """Tell what a client asks for; None if that is nothing the script knows."""
        match said:
            case Attach(handle=handle) if not _is_request_node(path := self._path(channel, handle)):
                return Step("attach", path, channel, handle, said)
            case Transfer():
                return self._sent(channel, said, payload)
            case Disposition(role=role, settled=False) if role == RECEIVER:
                return self._settled(channel, said)
        return None

    def delivered(self, channel: int, body: bytes) -> Step | None:
        """Tell whether a transfer of ours begins the delivery of a message."""
        transfer, _ = decode_performative(body)
        if not isinstance(transfer, Transfer) or transfer.delivery_id is None:
            return None
        path = self._path(channel, transfer.handle)
        return None if _is_request_node(path) else Step("deliver", path, channel, transfer.handle, transfer)

    def _sent(self, channel: int, transfer: Transfer, payload: bytes) -> Step | None:
        """Read the last transfer of a message; only the first names the delivery."""
        link = (channel, transfer.handle)
        delivery = self._begun.pop(link, transfer.delivery_id)
        if transfer.more and not transfer.aborted:
            self._begun[link] = delivery
        if transfer.more or transfer.aborted:
            return None
        path = self._path(channel, transfer.handle)
        step = Step("send", path, channel, transfer.handle, transfer, payload, delivery)
        return _requested(step) if _is_request_node(path) else step

    def _settled(self, channel: int, disposition: Disposition) -> Step | None:
        handle = self._engine.session(channel).link_of(disposition.first)
        if handle is None:
            return None
        return Step("settle", self._path(channel, handle), channel, handle, disposition, delivery=disposition.first)

    def _path(self, channel: int, handle: int) -> str:
        return self._paths.get((channel, handle), CBS)


def _requested(step: Step) -> Step | None:
    """Read what comes as a request: a token for an entity, or a renewal of its locks."""
    try:
        request = read_request(step.payload)
    except DecodeError:
        return None
    if step.entity.lower() == CBS:
        entity = path_of(request.properties.get("name", ""))
        return step._replace(operation="put-token", entity=entity, request=request)
    if request.operation in _RENEWALS:
        entity = step.entity[: -len(MANAGEMENT_SUFFIX)]
        return step._replace(operation="renew", entity=entity, request=request)
    return None


def _is_request_node(path: str) -> bool:
    folded = path.lower()
    return folded == CBS or folded.endswith(MANAGEMENT_SUFFIX)
