"""Copies into each README what the commands named there print: no number is typed by hand.

A block between `<!-- printed by: COMMAND -->` and `<!-- end -->` is replaced by the output of COMMAND.

    uv run python packages/feedback-worker/scripts/refresh_readmes.py [README.md ...]
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"<!-- printed by: (?P<command>.+?) -->\n.*?<!-- end -->", re.DOTALL)
WIDTH = "110"


def output_of(command: str) -> str:
    """Run a command from the root of the workspace and return what it prints."""
    environment = {**os.environ, "COLUMNS": WIDTH, "NO_COLOR": "1"}
    ended = subprocess.run(  # noqa: S603 - the commands are those of our own READMEs
        shlex.split(command), cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return "\n".join(line.rstrip() for line in ended.stdout.strip().splitlines())


def refreshed(match: re.Match[str]) -> str:
    """Return a block with the output of its command."""
    command = match["command"]
    return f"<!-- printed by: {command} -->\n```text\n{output_of(command)}\n```\n<!-- end -->"


def main() -> None:
    """Refresh the READMEs named on the command line, or all of them."""
    named = [Path(name) for name in sys.argv[1:]]
    for path in named or [ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md"))]:
        text = path.read_text()
        changed = BLOCK.sub(refreshed, text)
        if changed != text:
            path.write_text(changed)


if __name__ == "__main__":
    main()
