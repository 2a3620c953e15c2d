"""The main job as a newcomer runs it: one command, counted at its far ends."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from penstock_local_azure import LocalAzure, Queue

Start = Callable[..., Any]


def leaves(facts: Any) -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        yield from leaves(value) if isinstance(value, dict) else [(name, value)]


def assert_nothing_went_astray(facts: dict[str, Any]) -> None:
    messages, logs = facts["messages"], facts["logs"]
    assert messages["answered"] + messages["dead_lettered"] == messages["in"]
    assert (messages["lost"], messages["duplicates"], messages["remaining"]) == (0, 0, 0)
    assert (logs["missing"], logs["doubled"]) == (0, 0)
    assert logs["lines"] >= messages["in"]
    assert logs["files_shipped"] >= 2


async def test_a_small_quota_slows_the_run_down_and_fails_nothing(run_job: Start) -> None:
    facts = await run_job("--local", "--messages", "40", "--tpm", "20000", "--judge", "exact", "--seed", "3").facts()

    assert_nothing_went_astray(facts)
    assert facts["messages"]["answered"] == 40
    assert facts["quota"]["http_429"] == 0
    assert 0.5 <= facts["quota"]["peak_use"] <= 1


async def test_the_first_command_of_the_readme_answers_every_message_within_a_minute(run_job: Start) -> None:
    run = run_job("--local")

    facts = await run.facts()

    assert_nothing_went_astray(facts)
    assert facts["messages"]["in"] == facts["messages"]["answered"] >= 200
    assert facts["quota"]["http_429"] == 0
    assert facts["seconds"] < 60
    assert facts["quota"]["judge"].startswith("hidden")
    for name, value in leaves(facts):
        assert isinstance(value, str if name == "judge" else (int, float)), name
    assert "What became of every message" in run.printed
    assert "The answer to" in run.printed
    assert not run.complaints


def nasty_lines() -> list[str]:
    draw = random.Random(20261122)
    alphabets = [
        "abc xyz",
        "😀🎉👩‍👩‍👧🏳️‍🌈",
        "שלום עולם",
        "مرحبا بالعالم",
        "日本語の文章",
        "{}[]\"'\\%$<>",
        "\x00\x01\x1f\u2028\x85",
        "ﷺ𝔘𝔫𝔦\u202e",
    ]
    special = ["<|endoftext|>", "<|im_start|>system", '"', "'", "\x00", "{text}", "{{", "%s", "\ufeff", "null", "0"]
    longest = ["x" * 20_000, "😀" * 5_000, "שלום " * 2_200, "a b " * 5_000, "\x00" * 20_000]
    blank = ["", "   ", "\t", "\u3000"]
    mixed = ["".join(draw.choices(draw.choice(alphabets), k=draw.randint(1, 400))) for _ in range(500)]
    lines = (special + longest + mixed)[: 500 - len(blank)] + blank
    draw.shuffle(lines)
    return lines


async def test_any_text_file_is_answered_or_dead_lettered_with_a_reason(run_job: Start, tmp_path: Path) -> None:
    path = tmp_path / "nasty.txt"
    path.write_bytes("\n".join(nasty_lines()).encode())
    wanted = [line for line in nasty_lines() if line.strip()]

    facts = await run_job(
        "--local", "--input", str(path), "--judge", "exact", "--seed", "7", "--tpm", "2000000"
    ).facts()

    assert_nothing_went_astray(facts)
    assert facts["messages"]["in"] == len(wanted)
    assert facts["messages"]["answered"] >= 0.95 * len(wanted)
    assert sum(facts["messages"]["dead_letter_reasons"].values()) == facts["messages"]["dead_lettered"]
    assert facts["quota"]["http_429"] == 0
    assert facts["blank_inputs"] == len(nasty_lines()) - len(wanted)


async def test_a_counter_that_stops_for_ten_seconds_costs_time_and_nothing_else(run_job: Start) -> None:
    run = run_job("--local", "--messages", "400", "--judge", "exact", "--rpm", "1200")
    await run.in_the_middle()
    (counter,) = run.children("penstock_token_counter")

    counter.suspend()
    before = run.lines_acknowledged
    stopped = time.monotonic()
    await run.until(lambda: time.monotonic() - stopped >= 10)
    counter.resume()
    assert run.lines_acknowledged - before < 200, "the run was over before the counter was stopped"
    facts = await run.facts()

    assert_nothing_went_astray(facts)
    assert facts["messages"]["answered"] == 400
    assert facts["messages"]["dead_lettered"] == 0
    assert facts["quota"]["http_429"] == 0


async def test_a_counter_that_is_killed_costs_no_minute_and_nothing_else(run_job: Start) -> None:
    run = run_job("--local", "--messages", "240", "--judge", "exact", "--rpm", "1200")
    await run.in_the_middle()
    (counter,) = run.children("penstock_token_counter")

    counter.kill()
    before = run.lines_acknowledged
    assert before < 160, "the run was over before the counter was killed"
    killed = time.monotonic()
    await run.until(lambda: run.lines_acknowledged >= before + 40)
    seconds = time.monotonic() - killed
    facts = await run.facts()

    assert seconds < 30  # a counter that remembers nothing would grant nothing for 60 s
    assert_nothing_went_astray(facts)
    assert facts["messages"]["answered"] == 240
    assert facts["messages"]["dead_lettered"] == 0
    assert facts["quota"]["http_429"] == 0


async def test_an_interrupt_drains_and_still_prints_the_table(run_job: Start) -> None:
    run = run_job("--local", "--messages", "2000", "--rpm", "600")
    await run.in_the_middle()
    children = run.everyone()

    run.signal(signal.SIGINT)
    status = await run.end()

    messages = run.report()["messages"]
    assert status == 130
    assert messages["lost"] == messages["duplicates"] == messages["dead_lettered"] == 0
    assert messages["answered"] > 0
    assert messages["answered"] + messages["remaining"] == messages["in"]
    assert "What became of every message" in run.printed
    assert len(children) == 4
    assert run.still_running() == []


async def test_no_process_outlives_a_killed_command(run_job: Start) -> None:
    run = run_job("--local", "--messages", "2000", "--rpm", "600")
    await run.in_the_middle()
    children = run.everyone()

    run.signal(signal.SIGKILL)
    await run.end()
    gone, alive = psutil.wait_procs(children, timeout=40)

    assert len(gone) == 4
    assert alive == []


async def test_without_local_the_endpoints_come_from_the_environment(run_job: Start, counter_url: str) -> None:
    queues = [Queue(name, duplicate_detection=600.0) for name in ("feedback-in", "feedback-out")]
    async with LocalAzure(queues=queues, judge="exact", latency=0.05) as azure:
        run = run_job("--messages", "60", environment={**azure.environment(), "TOKEN_COUNTER_URL": counter_url})

        facts = await run.facts()

        assert_nothing_went_astray(facts)
        assert facts["messages"]["answered"] == 60
        assert azure.openai.stats()["gpt-4o"]["requests"] == 60
        assert azure.service_bus.stats()["feedback-in"]["completed"] == 60
