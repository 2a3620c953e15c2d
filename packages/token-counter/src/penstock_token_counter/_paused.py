"""Why nothing is granted for the moment: what was granted could not be kept."""

from __future__ import annotations

RETRY_AFTER = 1.0
"""Seconds after which asking again is worth a try."""


class PausedError(Exception):
    """Raised while nothing can be kept, so that nothing can be promised; its text may be shown."""

    permanent = False
    environment = True
    retry_after = RETRY_AFTER
