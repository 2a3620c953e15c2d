"""Where the commands write: results to standard output, remarks to standard error."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Any

PROGRAM = "penstock-servicebus"


@dataclass(frozen=True, slots=True)
class Style:
    """How lines are laid out.

    Attributes:
        width: Columns there are.
        coloured: Whether to set lines off.
    """

    width: int
    coloured: bool = False

    def bold(self, text: str) -> str:
        """Text that stands out."""
        return f"\x1b[1m{text}\x1b[0m" if self.coloured else text

    def dim(self, text: str) -> str:
        """Text that stands back."""
        return f"\x1b[2m{text}\x1b[0m" if self.coloured else text


def style_of_output() -> Style:
    """The style that suits standard output."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return Style(shutil.get_terminal_size().columns, coloured)


def printable(text: str) -> str:
    """Text without what would move the cursor or change colours: a message's sender may have written anything."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def say(line: str) -> None:
    """Write a result at once: whoever reads it may act on it before the next."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say_json(value: dict[str, Any]) -> None:
    """Write a result for a program."""
    say(json.dumps(value))


def remark(sentence: str) -> None:
    """Tell the person at the terminal something that is no result."""
    sys.stderr.write(f"{PROGRAM}: {sentence}\n")
