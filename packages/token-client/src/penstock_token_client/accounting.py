"""The parts of which a token counter is made: limits, ledger, line and closed loop, and the gate around them."""

from ._gate import Gate, Poll
from ._grant import Charge, Grant, Order, State
from ._ledger import Ledger
from ._limits import Limits, Settling
from ._loop import ClosedLoop, Lesson
from ._places import Place
from ._pool import KeyReusedError, NeverFitsError, Pool
from ._queue import QueueFullError, Turns, Waiter, WaitQueue
from ._ratelimit import RateLimit
from ._sharing import Sharing
from ._terms import Terms
from ._usage import Usage

__all__ = [
    "Charge",
    "ClosedLoop",
    "Gate",
    "Grant",
    "KeyReusedError",
    "Ledger",
    "Lesson",
    "Limits",
    "NeverFitsError",
    "Order",
    "Place",
    "Poll",
    "Pool",
    "QueueFullError",
    "RateLimit",
    "Settling",
    "Sharing",
    "State",
    "Terms",
    "Turns",
    "Usage",
    "WaitQueue",
    "Waiter",
]
