"""The README's examples run as they stand, and its command is one that the counter understands."""

import asyncio
import re
from pathlib import Path

import pytest

from penstock_token_counter._options import read_options

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


async def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    for example in examples:
        await asyncio.to_thread(exec, compile(example, "README.md", "exec"), {"__name__": "example"})

    assert len(examples) == 2
    assert capsys.readouterr().out.split() == ["1216", "58784"]


def test_the_command_is_understood() -> None:
    (arguments,) = re.findall(r"^penstock-token-counter (.*)$", README, re.MULTILINE)

    assert read_options(arguments.split()).pools["completion"].tpm == 600_000
