"""The fault script: which requests to which deployment go wrong, when and how, and the account of it."""

from collections import Counter
from collections.abc import Collection, Mapping
from math import inf
from typing import Final, Literal, get_args

from penstock_local_azure._fault_script import FaultScript
from penstock_local_azure._http_faults import CutAnswer, LateAnswer, StalledAnswer
from penstock_local_azure._occasions import Occasions

from ._faults import ChatFault, ErrorEvent, Fault, ServerError, Throttled

Operation = Literal["chat", "embeddings"]
_REQUEST_TIMEOUT: Final = 408


class Faults(FaultScript[Fault]):
    """The script of one resource, and the account of what it did: `fired["Throttled", "chat", "gpt-4o"]`.

    Its lines count the requests that the judge admits.

    Args:
        deployments: the names of those there are.
    """

    def __init__(self, deployments: Collection[str]) -> None:
        super().__init__()
        self._deployments = deployments

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
        if isinstance(fault, ChatFault):
            if on == "embeddings":
                raise ValueError(f"{type(fault).__name__} cannot happen on embeddings")
            on = "chat"
        self._write(fault, (on, deployment), Occasions(nth, every, chance, seed))

    def strike(self, operation: Operation, deployment: str) -> Fault | None:
        """Tell what goes wrong with a request that the judge has admitted."""
        return self._struck(operation, deployment)

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
