"""How far an upload has come, told to whoever wants to show it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock_blob_uploader._order import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one attempt to bring one file has come."""

    path: Path
    blob_name: str
    sent: int
    """Bytes of the file that have been sent; another attempt counts from 0 again."""
    length: int
    """Bytes of the file."""


class Meter:
    """Counts what one attempt sends.

    Each report is a call of its own on the event loop, so it arrives in order and before the outcome, and what it
    raises goes where asyncio sends the exceptions of all callbacks: to the loop's exception handler, which logs it.
    """

    def __init__(self, order: Order, tell: Callable[[Progress], object] | None) -> None:
        self._order = order
        self._tell = tell
        self._sent = 0

    def add(self, sent: int) -> None:
        """Count bytes of the file that the service has received."""
        self._sent += sent
        if self._tell is not None:
            order = self._order
            progress = Progress(path=order.path, blob_name=order.blob_name, sent=self._sent, length=order.size)
            asyncio.get_running_loop().call_soon(self._tell, progress)
