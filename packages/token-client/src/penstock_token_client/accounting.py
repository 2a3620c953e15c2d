"""The parts of which a token counter is made: limits, the ledger, the line in front of it, and the gate around both."""

from ._gate import Gate, KeyReusedError, NeverFitsError, Poll
from ._grant import Charge, Grant, Order, State
from ._ledger import Ledger
from ._limits import Limits, Settling
from ._queue import QueueFullError, Waiter, WaitQueue
from ._sharing import Sharing

__all__ = [
    "Charge",
    "Gate",
    "Grant",
    "KeyReusedError",
    "Ledger",
    "Limits",
    "NeverFitsError",
    "Order",
    "Poll",
    "QueueFullError",
    "Settling",
    "Sharing",
    "State",
    "WaitQueue",
    "Waiter",
]
