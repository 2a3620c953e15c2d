"""The fault script: which operation on which container or blob goes wrong, when, and how."""

from collections.abc import Collection
from dataclasses import dataclass
from math import inf

from penstock_local_azure._fault_script import FaultScript
from penstock_local_azure._http_faults import CutAnswer, LateAnswer, StalledAnswer
from penstock_local_azure._occasions import Occasions

from ._refusal import CODES, Refusal


@dataclass(frozen=True, slots=True)
class StorageError:
    """The operation is not done, and the answer says why.

    Args:
        code: Azure's error code: `ServerBusy` (503), `TooManyRequests` (429), `InternalError` and `OperationTimedOut`
            (500), `AuthorizationFailure` (403), or any other that the stand-in knows.
        retry_after: Seconds to wait, told in `Retry-After`, whole ones only; None: the header is not there.
    """

    code: str = "ServerBusy"
    retry_after: int | None = None

    def refusal(self) -> Refusal:
        """The answer to the client."""
        waits = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return Refusal(self.code, "the fault script wants it so", headers=waits)


@dataclass(frozen=True, slots=True)
class CutRequest:
    """The connection ends while the request's body is read, and nothing is done.

    Args:
        after: Which part of its bytes is taken in before, from 0 to 1.
    """

    after: float = 0.5


@dataclass(frozen=True, slots=True)
class SlowBody:
    """The bodies of request and answer are taken in and sent at no more than so many bytes a second."""

    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class CorruptBody:
    """A bit changes on the way: of the request's body, if it has one, else of the answer's.

    A write with an MD5 is refused as `Md5Mismatch`, one without is done, and wrong.
    """


Fault = StorageError | CutRequest | SlowBody | CorruptBody | LateAnswer | StalledAnswer | CutAnswer


class Faults(FaultScript[Fault]):
    """The script of one account, and the account of what it did: `fired["StorageError", "Put Blob", "logs"]`.

    Its lines count operations, and only those whose senders may ask for them.

    Args:
        operations: The names of those that are served.
    """

    def __init__(self, operations: Collection[str]) -> None:
        super().__init__()
        self._operations = operations

    def add(
        self,
        fault: Fault,
        *,
        on: str | None = None,
        container: str | None = None,
        blob: str | None = None,
        nth: int | None = None,
        every: int = 1,
        chance: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Add a line to the script.

        Args:
            fault: What goes wrong.
            on: With which operation, by its name in the REST API: `Put Blob`, `Put Block List`, ...; None: with any.
            container: In which container; None: in any.
            blob: With the blob of which name; None: with any, and with what concerns none.
            nth: Only the nth such operation from now on, counted from 1.
            every: Else every so many of them.
            chance: With this probability, from 0 to 1.
            seed: What chance derives from.

        Raises:
            TypeError: `fault` is none.
            ValueError: A number is outside its range, or there is no such operation or error code.
        """
        _check(fault)
        if on is not None and on not in self._operations:
            raise ValueError(f"on must be one of {', '.join(self._operations)}, not {on!r}")
        self._write(fault, (on, container, blob), Occasions(nth, every, chance, seed))

    def strike(self, operation: str, container: str, blob: str) -> Fault | None:
        """Tell what goes wrong with an operation that is about to be done, and count it."""
        fault = self._struck(operation, container, blob)
        if fault is not None:
            self.note(fault, operation, container)
        return fault

    def account(self) -> list[dict[str, str | int]]:
        """Return what happened, ready for JSON."""
        return self._accounted("container")


def corrupted(piece: bytes | memoryview) -> bytes:
    """A piece of a body with one bit changed."""
    return bytes([piece[0] ^ 1]) + bytes(piece[1:])


def _check(fault: Fault) -> None:
    """Refuse what is no fault, or one that cannot be."""
    match fault:
        case StorageError(code) if code not in CODES:
            raise ValueError(f"code must be one of {', '.join(CODES)}, not {code!r}")
        case StorageError(retry_after=wait) if wait is not None and wait < 0:
            raise ValueError(f"retry_after must not be negative, but is {wait}")
        case CutRequest(after) | StalledAnswer(after) | CutAnswer(after) if not 0 <= after < 1:
            raise ValueError(f"after must be from 0 to less than 1, not {after}")
        case CutAnswer(0, abrupt=False):
            raise ValueError("after must be more than 0 unless abrupt")
        case LateAnswer(seconds) if not 0 < seconds < inf:
            raise ValueError(f"seconds must be positive, not {seconds}")
        case SlowBody(rate) if not 0 < rate < inf:
            raise ValueError(f"bytes_per_second must be positive, not {rate}")
        case _ if not isinstance(fault, Fault):
            raise TypeError(f"a fault must be one of the stand-in's, not {type(fault).__name__}")
