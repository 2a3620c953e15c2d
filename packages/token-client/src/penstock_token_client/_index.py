"""Which grant an id names, and which one a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._grant import Grant


class Index:
    """The grants of a ledger's window by their names; a renewed grant takes the names over from itself."""

    def __init__(self) -> None:
        self._by_id: dict[str, Grant] = {}
        self._by_key: dict[tuple[str, str], Grant] = {}

    def add(self, grant: Grant) -> None:
        """Know a grant by its id, and by its key if it has one."""
        self._by_id[grant.id] = grant
        order = grant.order
        if order.key is not None:
            self._by_key[order.app, order.key] = grant

    def named(self, grant_id: str) -> Grant | None:
        """Return the grant that an id names."""
        return self._by_id.get(grant_id)

    def keyed(self, app: str, key: str | None) -> Grant | None:
        """Return the grant that an app's key names."""
        return None if key is None else self._by_key.get((app, key))

    def drop(self, grant: Grant) -> None:
        """Forget a grant, unless its names belong to a later one by now."""
        if self._by_id.get(grant.id) is grant:
            del self._by_id[grant.id]
            self.drop_key(grant)

    def drop_key(self, grant: Grant) -> None:
        """Forget a grant's key only, so that the same wish may be granted anew."""
        app, key = grant.order.app, grant.order.key
        if key is not None and self._by_key.get((app, key)) is grant:
            del self._by_key[app, key]
