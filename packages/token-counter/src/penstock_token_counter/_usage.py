"""What a user can put right: said in one sentence, on standard error, with exit status 2."""

from __future__ import annotations

import argparse
from typing import NoReturn


class UsageError(Exception):
    """Raised for what cannot be followed as it was given; its text says what to do."""


class Parser(argparse.ArgumentParser):
    """Raises its complaints instead of printing a usage block."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see --help")
