"""How a pool stands with its store, and what of it is said in the log."""

from __future__ import annotations

import logging

_LOG = logging.getLogger(__name__)


class StoreStanding:
    """Notes how it stands, and says so when it changes.

    Args:
        pool: The pool's name.
        address: What may be shown of the store's address.

    Attributes:
        state: ``"connecting"``, ``"connected"`` or ``"away"``.
    """

    def __init__(self, pool: str, address: str) -> None:
        self.state = "connecting"
        self._pool = pool
        self._address = address

    def connected(self) -> None:
        """Note that what was decided is kept."""
        if self.state != "connected":
            _LOG.info("pool %s is shared through the store at %s", self._pool, self._address)
        self.state = "connected"

    def put_forward(self, seconds: float) -> None:
        """Note that the store's clock was set, so that charges would leave the window too early."""
        text = "the clock of the store at %s was put forward by %.1f s: pool %s grants nothing for one window"
        _LOG.warning(text, self._address, seconds, self._pool)

    def away(self, reason: str) -> None:
        """Note that the store cannot be reached."""
        if self.state != "away":
            text = "nothing is granted from pool %s: the store at %s cannot be used (%s)"
            _LOG.error(text, self._pool, self._address, reason)
        self.state = "away"

    def broken(self, fault: BaseException) -> None:
        """Note that a fault of ours has ended everything; its text may hold what the store keeps."""
        text = "nothing is granted from pool %s any more, because of a fault (%s): start this counter anew"
        _LOG.critical(text, self._pool, type(fault).__name__)
