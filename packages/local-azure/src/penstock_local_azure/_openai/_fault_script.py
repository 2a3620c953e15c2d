"""The fault script: which requests to which deployment go wrong, when and how, and the account of it."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, Literal, get_args

from penstock_local_azure._http_faults import CutAnswer, LateAnswer, StalledAnswer
from penstock_local_azure._occasions import Occasions

from ._faults import ChatFault, ErrorEvent, Fault, ServerError, Throttled

Operation = Literal["chat", "embeddings"]
_REQUEST_TIMEOUT: Final = 408


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of the script."""

    fault: Fault
    on: Operation | None
    deployment: str | None
    occasions: Occasions

    def strikes(self, operation: Operation, deployment: str) -> bool:
        """Tell whether a request goes wrong; counts it if the line is about such."""
        return self._concerns(operation, deployment) and self.occasions.next()

    def _concerns(self, operation: Operation, deployment: str) -> bool:
        if isinstance(self.fault, ChatFault) and operation != "chat":
            return False
        return self.on in (None, operation) and self.deployment in (None, deployment)


class Faults:
    """The script of one resource, and the account of what it did.

    Each line counts the requests it is about and which the judge admits, from when it was added; so a test that asks
    the same in the same order meets the same faults. If several lines fire at once, the one added first happens.

    Args:
        deployments: the names of those there are.
    """

    def __init__(self, deployments: Collection[str]) -> None:
        self._deployments = deployments
        self._rules: list[_Rule] = []
        self.fired: Counter[tuple[str, Operation, str]] = Counter()
        """How often which fault happened: `fired["Throttled", "chat", "gpt-4o"]`."""

    def add(
        self,
        fault: Fault,
        *,
        on: Operation | None = None,
        deployment: str | None = None,
        nth: int | None = None,
        every: int = 1,
        chance: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Add a line to the script.

        Args:
            fault: what goes wrong.
            on: with which operation; None: with any that can suffer it.
            deployment: on which deployment; None: on any.
            nth: only the nth such request from now on, counted from 1.
            every: else every so many of them.
            chance: with this probability, from 0 to 1.
            seed: what chance derives from.

        Raises:
            TypeError: `fault` is none.
            ValueError: a number is outside its range, there is no such deployment or operation, or such a fault has no
                meaning for it.
        """
        check(fault)
        if deployment is not None and deployment not in self._deployments:
            raise ValueError(f"deployment must be one of {', '.join(self._deployments)}, not {deployment!r}")
        if on not in (None, *get_args(Operation)):
            raise ValueError(f"on must be one of {', '.join(get_args(Operation))}, not {on!r}")
        if on == "embeddings" and isinstance(fault, ChatFault):
            raise ValueError(f"{type(fault).__name__} cannot happen on embeddings")
        self._rules.append(_Rule(fault, on, deployment, Occasions(nth, every, chance, seed)))

    def clear(self) -> None:
        """Forget the script: from now on all goes well. The account stays."""
        self._rules.clear()

    def strike(self, operation: Operation, deployment: str) -> Fault | None:
        """Tell what goes wrong with a request that the judge has admitted."""
        # A list, so that every line counts the request, also when an earlier one fires.
        striking = [rule.fault for rule in self._rules if rule.strikes(operation, deployment)]
        return striking[0] if striking else None

    def note(self, fault: Fault, operation: Operation, deployment: str) -> None:
        """Note that a fault happens."""
        self.fired[type(fault).__name__, operation, deployment] += 1

    def account(self, deployment: str) -> Mapping[str, int]:
        """Return how often which fault happened on a deployment, ready for JSON."""
        counted: Counter[str] = Counter()
        for (fault, _, on), times in sorted(self.fired.items()):
            if on == deployment:
                counted[fault] += times
        return dict(counted)


def check(fault: Fault) -> None:
    """Refuse what is no fault, or one that cannot be.

    Raises:
        TypeError: it is no fault.
        ValueError: one of its numbers is outside its range.
    """
    match fault:
        case ServerError(status, _) if status != _REQUEST_TIMEOUT and not 500 <= status < 600:  # noqa: PLR2004
            raise ValueError(f"status must be 408 or from 500 to 599, not {status}")
        case LateAnswer(seconds) if not 0 < seconds < inf:
            raise ValueError(f"seconds must be positive, not {seconds}")
        case CutAnswer(after=after) | StalledAnswer(after) | ErrorEvent(after) if not 0 <= after < 1:
            raise ValueError(f"after must be from 0 to less than 1, not {after}")
        case ErrorEvent(code=code) if not code.strip():
            raise ValueError("code must not be blank")
        case CutAnswer(0, abrupt=False):
            raise ValueError("after must be more than 0 unless abrupt")
        case Throttled(retry_after=wait) | ServerError(retry_after=wait) if wait is not None and not 0 < wait < inf:
            raise ValueError(f"retry_after must be positive, not {wait}")
        case _ if not isinstance(fault, Fault):
            raise TypeError(f"a fault must be one of the stand-in's, not {type(fault).__name__}")
