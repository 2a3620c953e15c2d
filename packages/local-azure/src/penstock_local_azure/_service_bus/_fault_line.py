"""The line between one client and the engine of its connection, on which the fault script does its work.

Everything that is said passes through here, frame by frame. Whatever goes wrong is made of what can happen on a wire -
frames that are changed, lost or late, sockets that end - so the rules of the queues know nothing of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from ._cbs import CBS_DIALECT
from ._errors import AmqpError
from ._faults import (
    CloseConnection,
    DeliverAgain,
    DetachLink,
    Fault,
    Faults,
    LoseAnswer,
    Refuse,
    SlowAnswer,
    StallConnection,
)
from ._frames import AMQP, join_frame
from ._management import MANAGEMENT_DIALECT
from ._namespace import CBS, MANAGEMENT_SUFFIX
from ._outcomes import Accepted, Modified, Rejected, read_outcome, write_outcome
from ._performatives import (
    RECEIVER,
    SENDER,
    Attach,
    Close,
    Disposition,
    Performative,
    Transfer,
    encode_performative,
)
from ._requests import Reply, Request, write_reply
from ._steps import Step, Steps

if TYPE_CHECKING:
    from ._connection import Connection

_TRANSFER: Final = 0x14
_CODE: Final = 2
"""Where a frame body of ours says which performative it is."""

_WHY: Final = "so the fault script wants it"


class FaultLine:
    """One connection's line.

    Args:
        engine: What the client talks to.
        faults: What goes wrong.
    """

    def __init__(self, engine: "Connection", faults: Faults) -> None:
        self._engine = engine
        self._faults = faults
        self._steps = Steps(engine)
        self._is_stalled = False
        self._is_mute = False
        self._delay = 0.0
        self._later: list[Callable[[], None]] = []

    @property
    def is_stalled(self) -> bool:
        """Whether nothing passes any more."""
        return self._is_stalled

    def take_delay(self) -> float:
        """Return for how many seconds the output is to be held back, and forget it."""
        delay, self._delay = self._delay, 0.0
        return delay

    # --- what the client says

    def incoming(self, channel: int, said: Performative, payload: bytes) -> None:
        """Hand a frame to the engine, unless the script has something else in mind."""
        if self._is_stalled:
            return
        if isinstance(said, Attach):
            self._steps.note(channel, said)
        step = self._steps.asked(channel, said, payload) if self._faults else None
        fault = None if step is None else self._faults.strike(step.operation, step.entity)
        if step is None or fault is None:
            self._engine.act(channel, said, payload)
        else:
            self._go_wrong(step, fault)

    def _go_wrong(self, step: Step, fault: Fault) -> None:
        match fault:
            case LoseAnswer():
                self._do(step)
            case SlowAnswer(seconds):
                self._delay = max(self._delay, seconds)
                self._engine.act(step.channel, step.said, step.payload)
            case Refuse():
                self._refuse(step, fault)
            case DeliverAgain():
                self._forget_settlement(step)
            case DetachLink(condition, done):
                if step.operation == "attach":  # only what is attached can be detached
                    self._engine.act(step.channel, step.said, step.payload)
                else:
                    self._do(step, really=done)
                self._detach(step, condition)
            case CloseConnection(condition, done):
                self._do(step, really=done)
                self._close(condition)
            case StallConnection(done):
                self._do(step, really=done)
                self._is_stalled = True

    def _do(self, step: Step, *, really: bool = True) -> None:
        """Have an operation done, and keep its answer back."""
        if really:
            with self._muted():
                self._engine.act(step.channel, step.said, step.payload)

    # --- what is said to it

    def outgoing(self, channel: int, body: bytes, frame_type: int) -> None:
        """Write a frame, or what the script leaves of it."""
        if self._is_stalled or self._is_mute:
            return
        frame = join_frame(channel, body, frame_type)
        step = None
        if self._faults and frame_type == AMQP and body[_CODE] == _TRANSFER:
            step = self._steps.delivered(channel, body)
        fault = None if step is None else self._faults.strike(step.operation, step.entity)
        if step is None or fault is None:
            self._engine.write(frame)
        else:
            self._deliver_wrongly(step, fault, frame)

    def catch_up(self) -> None:
        """Do what could not be done in the midst of a delivery."""
        later, self._later = self._later, []
        for act in later:
            act()

    def _deliver_wrongly(self, step: Step, fault: Fault, frame: bytes) -> None:
        match fault:
            case SlowAnswer(seconds):
                self._delay = max(self._delay, seconds)
                self._engine.write(frame)
            case DetachLink(condition):
                self._engine.write(frame)
                self._later.append(partial(self._detach, step, condition))
            case CloseConnection(condition, done):
                self._engine.write(frame if done else frame[: len(frame) // 2])
                self._close(condition if done else None)
            case StallConnection(done):
                if done:
                    self._engine.write(frame)
                self._is_stalled = True

    # --- how things go wrong

    def _detach(self, step: Step, condition: str | None) -> None:
        error = None if condition is None else AmqpError(condition, _WHY)
        self._engine.session(step.channel).detach(step.handle, error)

    def _close(self, condition: str | None) -> None:
        if condition is not None:
            self._say(0, Close(AmqpError(condition, _WHY).composite()))
        self._engine.closed = True

    def _refuse(self, step: Step, refusal: Refuse) -> None:
        error = AmqpError(refusal.condition, _WHY)
        rejected = write_outcome(Rejected(error.composite()))
        match step.said:
            case Attach() as attach:
                self._engine.session(step.channel).refuse(attach, error)
            case Disposition(_, first, last):
                self._say(step.channel, Disposition(SENDER, first, last, settled=True, state=rejected))
            case Transfer() as transfer:
                # The engine still counts it, as one that the client took back.
                self._engine.act(step.channel, transfer._replace(aborted=True), b"")
                if step.request is None:
                    self._answer_transfer(step, Rejected(error.composite()))
                else:
                    self._answer_transfer(step, Accepted())
                    self._reply(step, step.request, Reply(refusal.status, _WHY, condition=refusal.condition))

    def _answer_transfer(self, step: Step, outcome: Accepted | Rejected) -> None:
        if step.delivery is not None:
            state = write_outcome(outcome)
            self._say(step.channel, Disposition(RECEIVER, step.delivery, settled=True, state=state))

    def _reply(self, step: Step, request: Request, reply: Reply) -> None:
        is_token = step.operation == "put-token"
        node = CBS if is_token else step.entity.lower() + MANAGEMENT_SUFFIX
        dialect = CBS_DIALECT if is_token else MANAGEMENT_DIALECT
        outlet = self._engine.session(step.channel).reply_outlet(node, request.reply_to)
        if outlet is not None:
            outlet.reply(write_reply(request, reply, dialect))

    def _forget_settlement(self, step: Step) -> None:
        """Tell the client yes, and the engine that the delivery failed."""
        asked = step.said
        if not isinstance(asked, Disposition) or asked.state is None:
            return
        with self._muted():
            failed = write_outcome(Modified(delivery_failed=True))
            self._engine.act(step.channel, asked._replace(state=failed), b"")
        is_rejected = isinstance(read_outcome(asked.state), Rejected)
        answer = write_outcome(Rejected()) if is_rejected else asked.state
        self._say(step.channel, Disposition(SENDER, asked.first, asked.last, settled=True, state=answer))

    def _say(self, channel: int, performative: Performative) -> None:
        self._engine.write(join_frame(channel, encode_performative(performative)))

    @contextmanager
    def _muted(self) -> Iterator[None]:
        """Keep back what the engine says meanwhile."""
        self._is_mute = True
        try:
            yield
        finally:
            self._is_mute = False
