"""The fault script: which operation on which entity goes wrong, when, and how."""

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

from penstock_local_azure._fault_script import FaultScript
from penstock_local_azure._occasions import Occasions

Operation = Literal["attach", "send", "deliver", "settle", "renew", "put-token"]
"""What can go wrong: a link is attached, a message or batch is sent, one is delivered, a delivery is settled, locks are
renewed, a token is put."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The operation is done, and its answer never comes."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The operation is not done, and the answer says so.

    Args:
        condition: The symbol that names the case, as `com.microsoft:server-busy`.
        status: The status of the answer to a renewal or a token, which come as requests.
    """

    condition: str
    status: int = 503


@dataclass(frozen=True, slots=True)
class DetachLink:
    """The broker detaches the link instead of answering.

    Args:
        condition: Why, as `amqp:link:detach-forced`; None: without an error.
        done: Whether the operation is done before.
    """

    condition: str | None = None
    done: bool = True


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """The connection ends instead of an answer; a delivery that is not `done` ends in the middle of its frame.

    Args:
        condition: What the close frame says, as `amqp:connection:forced`; None: there is none, the socket just closes.
        done: Whether the operation is done before.
    """

    condition: str | None = None
    done: bool = True


@dataclass(frozen=True, slots=True)
class StallConnection:
    """The connection stays open and says nothing more, nor does anything said on it arrive.

    Args:
        done: Whether the operation is done before.
    """

    done: bool = True


@dataclass(frozen=True, slots=True)
class SlowAnswer:
    """The answer, and all that its connection says meanwhile, comes so many seconds late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class DeliverAgain:
    """The settlement is answered and forgotten: the message is delivered again at once, under a new lock.

    One more delivery counts as failed, as when the lock of a settlement that was lost expires.
    """


Fault = LoseAnswer | Refuse | DetachLink | CloseConnection | StallConnection | SlowAnswer | DeliverAgain


_OPERATIONS: Final = get_args(Operation)


class Faults(FaultScript[Fault]):
    """The script of one namespace, and the account of what it did: `fired["Refuse", "send", "in"]`.

    Its lines count operations.
    """

    def __bool__(self) -> bool:
        """Whether anything can go wrong."""
        return bool(self._lines)

    def add(
        self,
        fault: Fault,
        *,
        on: Operation,
        entity: str | None = None,
        nth: int | None = None,
        every: int = 1,
        chance: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Add a line to the script.

        Args:
            fault: What goes wrong.
            on: With which operation.
            entity: On which entity: `queue`, `queue/$DeadLetterQueue`, `topic/Subscriptions/name`; None: on any.
            nth: Only the nth such operation from now on, counted from 1.
            every: Else every so many of them.
            chance: With this probability, from 0 to 1.
            seed: What chance derives from.

        Raises:
            ValueError: if a number is out of range, or such a fault has no meaning for such an operation.
        """
        if on not in _OPERATIONS:
            raise ValueError(f"on must be one of {', '.join(_OPERATIONS)}, not {on!r}")
        if isinstance(fault, SlowAnswer) and not 0 < fault.seconds < math.inf:
            raise ValueError(f"seconds must be positive, not {fault.seconds}")
        _refuse_what_cannot_be(fault, on)
        folded = None if entity is None else entity.strip("/").lower()
        self._write(fault, (on, folded), Occasions(nth, every, chance, seed))

    def strike(self, operation: Operation, entity: str) -> Fault | None:
        """Tell what goes wrong with an operation that is about to be done, and count it."""
        fault = self._struck(operation, entity.lower())
        if fault is not None:
            self.note(fault, operation, entity)
        return fault

    def account(self) -> list[dict[str, str | int]]:
        """Return what happened, ready for JSON."""
        return self._accounted("entity")


def _refuse_what_cannot_be(fault: Fault, on: Operation) -> None:
    """Raise if a fault has no meaning for an operation."""
    if isinstance(fault, DeliverAgain):
        possible = on == "settle"
    elif isinstance(fault, LoseAnswer | Refuse):
        possible = on != "deliver"  # it has no answer
    elif isinstance(fault, DetachLink):
        possible = fault.done or on not in ("attach", "deliver")
    else:
        possible = True
    if not possible:
        raise ValueError(f"{fault} cannot happen on {on}")
