"""Which grant an id names, and which one a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._grant import Grant


class Index:
    """The grants of a ledger's window by their names; a renewed grant takes the names over from itself.

    Attributes:
        by_id: The grants by their ids.
        by_key: Those whose order has a key, by app and key.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, Grant] = {}
        self.by_key: dict[tuple[str, str | None], Grant] = {}

    def add(self, grant: Grant) -> None:
        """Know a grant by its id, and by its key if it has one."""
        self.by_id[grant.id] = grant
        order = grant.order
        if order.key is not None:
            self.by_key[order.app, order.key] = grant

    def drop(self, grant: Grant) -> None:
        """Forget a grant, unless its names belong to a later one by now."""
        if self.by_id.get(grant.id) is grant:
            del self.by_id[grant.id]
            self.drop_key(grant)

    def drop_key(self, grant: Grant) -> None:
        """Forget a grant's key only, so that the same wish may be granted anew."""
        name = grant.order.app, grant.order.key
        if self.by_key.get(name) is grant:
            del self.by_key[name]
