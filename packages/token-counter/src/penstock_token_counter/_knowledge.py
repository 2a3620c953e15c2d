"""Whether a counter knows of a pool what its store knows, and whether the store itself can know everything.

A server of which nobody knows that it knows everything - it was started anew, another one took over, or it evicted a
key - is not believed: the pool starts as if its whole window were used.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._replica import Replica
    from ._store import Store
    from ._store_facts import Taken


class Knowledge:
    """Keeps a replica at what its store knows.

    Args:
        name: The pool's name.
        replica: The pool, as it is known here.
        store: Where it is kept.
        assume_idle: Take a store that does not know the pool at its word, unless it was known here before.

    Attributes:
        certain: Whether the replica is of the version that it says.
    """

    def __init__(self, name: str, replica: Replica, store: Store, *, assume_idle: bool) -> None:
        self.certain = False
        self._name = name
        self._replica = replica
        self._store = store
        self._assume_idle = assume_idle
        self._server = ""
        self._in_doubt = False

    def doubt(self) -> None:
        """Note that more may have been granted than anybody knows of."""
        self._in_doubt = True

    def confirm(self, server: str) -> None:
        """Note that a server has kept what is known here."""
        self.certain, self._in_doubt, self._server = True, False, server

    def is_continued(self, taken: Taken) -> bool:
        """Tell whether the news continue what is known here: the same pool, on the server that kept it all along."""
        return (
            self.certain
            and not self._in_doubt
            and taken.entries is not None
            and taken.server == self._server == taken.kept_by
            and taken.instance == self._replica.pool.instance
        )

    def is_too_little(self, taken: Taken) -> bool:
        """Tell whether more may have been granted than the store knows."""
        if self._in_doubt:
            return True
        if taken.version is None:
            return not self._assume_idle or self._server != "" or taken.kept_by is not None
        return taken.kept_by != taken.server

    async def load(self, taken: Taken) -> bool:
        """Begin anew with what the store keeps; tell whether that is still the version that it spoke of.

        Raises:
            StoreAwayError: It cannot be reached.
        """
        self.certain = False
        if taken.version is None:
            self._replica.open(secrets.token_hex(4), taken.now)
            return True
        kept = await self._store.load(self._name)
        self._replica.load(kept, taken.now)
        return kept.version == taken.version
