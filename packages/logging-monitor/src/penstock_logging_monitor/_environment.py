"""What the environment says, where an argument does not."""

from __future__ import annotations

import os


def from_environment(argument: str | None, variable: str) -> str | None:
    """Return the argument, else the environment variable; unset, empty and blank are the same: None."""
    for text in (argument, os.environ.get(variable)):
        if text is not None and text.strip():
            return text.strip()
    return None
