"""Names and ids as they travel: pools in paths, grants as compound ids."""

from __future__ import annotations

import re

DEFAULT_POOL = "completion"
"""The pool of the paths that name none."""

_POOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WIRE_ID = re.compile(r"token_([0-9a-z]+-[0-9]+):rate_\1")


def pool_path(pool: str) -> str:
    """Return the path below which a pool is served; ``""`` for `DEFAULT_POOL`.

    Raises:
        ValueError: The name is not 1 to 64 letters, digits, dots, dashes and underscores.
    """
    if not _POOL_NAME.fullmatch(pool):
        raise ValueError("pool must be 1 to 64 letters, digits, dots, dashes and underscores, and start with no dash")
    return "" if pool == DEFAULT_POOL else f"/pools/{pool}"


def wire_id(grant: str) -> str:
    """Return the compound id under which a grant travels: one half for its tokens, one for its request."""
    return f"token_{grant}:rate_{grant}"


def grant_id(request_id: str) -> str | None:
    """Return the grant behind a compound id, or None if no counter can have given it."""
    match = _WIRE_ID.fullmatch(request_id)
    return match[1] if match else None


def request_ids(request_id: str) -> dict[str, str]:
    """Return the fields in which a compound id travels: whole, and what follows its first colon."""
    rate = request_id.partition(":")[2]
    return {"request_id": request_id, "rate_request_id": rate} if rate else {"request_id": request_id}
