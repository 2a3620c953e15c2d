"""How an answer says when to come again."""

from math import ceil


def retry_after_headers(seconds: float | None) -> dict[str, str]:
    """Return both headers that tell it: in whole seconds, and in milliseconds; none, if there is nothing to tell."""
    if seconds is None:
        return {}
    return {"retry-after": str(max(1, ceil(seconds))), "retry-after-ms": str(max(1, ceil(seconds * 1000)))}
