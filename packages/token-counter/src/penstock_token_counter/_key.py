"""The command ``key``: a new key for an app, and the line of pools.toml that lets it in."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING

from ._access import digest
from ._usage import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTES = 32
"""Of randomness: nobody guesses a key, so its plain SHA-256 may stand in a file."""


def run(arguments: Sequence[str]) -> int:
    """Print a key that never was, and what stands for it in pools.toml."""
    Parser(
        prog="penstock-token-counter key",
        description="Print a new random key for an app, and the line that lets it in, for its table in pools.toml.",
    ).parse_args(arguments)
    key = secrets.token_urlsafe(_BYTES)
    sys.stdout.write(
        f"key, for the app alone (TOKEN_COUNTER_KEY):\n{key}\n"
        f'line, for [apps.NAME] in pools.toml:\nkeys = ["{digest(key)}"]\n'
    )
    return 0
