"""The README's examples run as they stand, and its command is one that the counter understands."""

import asyncio
import re
from pathlib import Path

import pytest

from penstock_token_client import TokenClient
from penstock_token_counter._options import read_options
from penstock_token_counter._serve import counter_of

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


async def test_the_pools_file_is_served_to_whoever_has_its_keys(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "pools.toml").write_text(example, encoding="utf-8")
    options = read_options(["--config", str(tmp_path / "pools.toml"), "--port", "0", "--assume-idle"])

    async with (
        counter_of(options) as counter,
        TokenClient("feedback", counter.url, key="a key of the readme") as client,
    ):
        lock = await client.lock_tokens(100)
        status = await client.get_status()

    assert lock.allowed
    assert status is not None
    assert (status["tpm"], status["deployment"]) == (600_000, "gpt-4o-mini")
    assert options.configuration.access.apps["nightly"].client_ids


async def test_every_field_of_the_status_stands_in_the_table() -> None:
    options = read_options(["--tpm", "5", "--rpm", "5", "--port", "0"])
    async with counter_of(options) as counter, TokenClient("a", counter.url) as client:
        status = await client.get_status()

    table = README.partition("### What `/status` says\n")[2].partition("\n## ")[0]
    fields = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))

    assert status is not None
    assert set(fields) == set(status) - {"v"}


def test_every_option_stands_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out.partition("options:")[2]))

    table = README.partition("| option of `serve` |")[2].partition("\n\n")[0]

    assert options - {"--help"} == set(
        re.findall(r"--[a-z-]+", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)))
    )
