"""The README's examples do what it says."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from penstock_local_azure import LocalAzure, Queue, Subscription, Topic

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
PROGRAM, TEST, ENTITIES, ORDERS, FAULTS, BLOBS, TLS = BLOCKS


def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, README.name, "exec"), names)  # noqa: S102  # our own page
    return names


def test_the_program_prints_an_answer_and_its_account(capsys: pytest.CaptureFixture[str]) -> None:
    run(PROGRAM)

    answer, account = capsys.readouterr().out.splitlines()
    assert answer.endswith(".")
    assert ast.literal_eval(account)["requests"] == 1


async def test_the_test_passes(local_azure: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    await run(TEST)["test_the_model_is_asked_once"](local_azure, monkeypatch)


async def test_the_faults_happen(local_azure: LocalAzure) -> None:
    await run(FAULTS)["test_the_sdk_sends_again"](local_azure)


async def test_the_test_with_blobs_passes(local_azure: LocalAzure) -> None:
    await run(BLOBS)["test_an_upload_gets_there_in_the_end"](local_azure)


async def test_the_test_with_orders_and_faults_passes(local_azure: LocalAzure) -> None:
    await run(ORDERS)["test_an_outage_is_got_over_and_a_refusal_is_told"](local_azure)


def test_the_entities_can_be_declared() -> None:
    names = {"LocalAzure": LocalAzure, "Queue": Queue, "Subscription": Subscription, "Topic": Topic}

    azure = eval(ENTITIES, names)  # noqa: S307  # our own page

    assert azure.stats()["service_bus"]["queues"].keys() >= {"grouped", "news", "news/Subscriptions/audit"}


async def test_the_test_without_keys_passes(capsys: pytest.CaptureFixture[str]) -> None:
    await run(TLS)["test_a_refused_token_costs_nothing_but_time"]()

    assert ast.literal_eval(capsys.readouterr().out).keys() == {"issued", "blob", "openai", "service_bus"}
