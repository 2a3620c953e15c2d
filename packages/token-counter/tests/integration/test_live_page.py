"""The live page in a real browser: what it draws is what the counter says, and it bears what happens to both."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import sys
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from playwright.async_api import expect

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE, DESKTOP = (360, 780), (1280, 900)
LOOKS = [(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light"), (DESKTOP, "dark")]
"""Width and height in pixels, and colour scheme."""

POOLS = {
    "busy": Limits(tpm=10_000, rpm=6_000, window=3.0, margin=0.0, headroom=0.0),
    "full": Limits(tpm=10_000, rpm=600, headroom=0.0),
    "refused": Limits(tpm=10_000, rpm=600, headroom=0.0),
}
LOWERED = {"x-ratelimit-limit-tokens": "8000", "retry-after-ms": "90000"}


async def works(url: str, number: int) -> None:
    """Take and report quota of the busy pool, again and again."""
    sizes = random.Random(number)
    async with TokenClient(f"worker-{number % 3}", url, pool="busy") as client:
        while True:
            async with client.reserve(sizes.randint(200, 2_000)) as reservation:
                await asyncio.sleep(sizes.uniform(0.0, 0.1))
                await reservation.report(prompt_tokens=100, completion_tokens=50)


async def waits(url: str, app: str) -> None:
    """Stand in the line of the full pool."""
    async with TokenClient(app, url, pool="full") as client, client.reserve(9_000):
        raise AssertionError("the pool is full")


async def fill(url: str) -> None:
    """Use most of one pool, and learn of another that Azure has less to give."""
    async with TokenClient("grading", url, pool="full") as client:
        await client.lock_tokens(3_000)
        async with client.reserve(4_500) as reservation:
            await reservation.report(prompt_tokens=4_000, completion_tokens=500)
    async with TokenClient("chat", url, pool="refused") as client, client.reserve(4_000) as reservation:
        await reservation.report(prompt_tokens=0, completion_tokens=0, headers=LOWERED, status="429")


@asynccontextmanager
async def under_load() -> AsyncIterator[str]:
    """Run a counter with clients that are granted, and clients that wait."""
    async with TokenCounter(POOLS, assume_idle=True) as counter, AsyncExitStack() as stack:
        await fill(counter.url)
        clients = [works(counter.url, number) for number in range(12)]
        clients += [waits(counter.url, app) for app in ("feedback", "feedback", "grading")]
        tasks = [asyncio.ensure_future(client) for client in clients]
        stack.push_async_callback(asyncio.wait, tasks)
        for task in tasks:
            stack.callback(task.cancel)
        async with asyncio.timeout(20):
            while (await pools(counter.url))["full"]["waiting"] < 3:
                await asyncio.sleep(0.02)
        yield counter.url
        assert not any(task.done() for task in tasks)


async def pools(url: str) -> dict[str, dict[str, Any]]:
    """Return the status of every pool, by its name."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/pools") as response:
        return {status["pool"]: status for status in (await response.json())["pools"]}


async def samples(url: str, pool: str) -> AsyncGenerator[list[dict[str, float]], None]:
    """Read the samples of a pool as pages are told them, those before now at first."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/events") as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                columns = ("at", *event["columns"])
                values = [(sample["at"], *sample["pools"][pool]) for sample in event["samples"]]
                yield [dict(zip(columns, numbers, strict=True)) for numbers in values]


def number(text: str) -> int:
    """Read the first number of a text."""
    return int(re.findall(r"\d[\d,]*", text)[0].replace(",", ""))


def heights(path: str) -> list[float]:
    """Return how far above the foot each point of a drawn line is."""
    return [100 - float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]


async def drawn(watched: Any, pool: str) -> dict[str, Any]:
    """Read one pool's part of the page, all of it at one moment."""
    found: dict[str, Any] = await watched.page.locator(f"#pool-{pool}").evaluate(
        """part => ({
          ...Object.fromEntries([...part.querySelectorAll("[data-field]")].map(e => [e.dataset.field, e.textContent])),
          states: [...part.querySelectorAll(".states li")].map(e => e.textContent),
          rows: [...part.querySelectorAll(".queue tbody tr")].map(e => [...e.children].map(c => c.textContent)),
          line: part.querySelector(".tokens-line").getAttribute("d"),
          limits: part.querySelector("path.limit").getAttribute("d"),
          marks: part.querySelector("path.refusals").getAttribute("d"),
          pauses: part.querySelector("path.pause").getAttribute("d"),
          bars: [...part.querySelectorAll("[data-bar=tokens] i")].map(e => e.getBoundingClientRect().width
            / e.parentElement.getBoundingClientRect().width),
        })"""
    )
    return found


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
async def test_what_it_draws_agrees_with_the_status(open_page: Any, size: tuple[int, int], scheme: str) -> None:
    async with under_load() as url:
        watched = await open_page(url, size, scheme)
        await expect(watched.page.locator("#pool-full [data-field=waiting]")).to_have_text("3")
        full, refused = await drawn(watched, "full"), await drawn(watched, "refused")
        said = await pools(url)

        used = said["full"]["used_tokens"] + said["full"]["locked_tokens"]
        assert (number(full["tokens"]), number(full["tpm"])) == (used, 10_000) == (7_500, 10_000)
        assert number(full["requests"]) == 600 - said["full"]["available_requests"] == 2
        assert full["parts"] == "4,500 reported, 3,000 in flight"
        assert full["share"] == "75 %"
        assert full["bars"] == pytest.approx([0.45, 0.30], abs=0.01)
        assert heights(full["line"])[-1] / heights(full["limits"])[-1] == pytest.approx(0.75, abs=0.01)
        assert number(full["waiting"]) == said["full"]["waiting"] == 3
        assert [(app, int(waiting)) for app, waiting, *_ in full["rows"]] == [("feedback", 2), ("grading", 1)]
        assert [number(tokens) for *_, tokens in full["rows"]] == [0, 7_500]
        assert full["states"] == ["queue"]

        effective = said["refused"]["effective_tpm"]
        assert effective < 8_001
        assert number(refused["tpm"]) == effective
        assert refused["limit"].startswith(f"{effective:,} of 10,000 tokens")
        assert heights(refused["line"])[-1] / heights(refused["limits"])[-1] == pytest.approx(
            4_000 / effective, abs=0.01
        )
        assert number(refused["http_429"]) == said["refused"]["http_429"] == 1
        assert number(refused["pause"]) == pytest.approx(said["refused"]["paused_seconds"], abs=3)
        assert refused["pauses"] != ""
        assert refused["states"] == ["paused", "limit lowered"]
        assert watched.complaints == []
        assert {request.partition("//")[2].partition("/")[0] for request in watched.requests} == {url[7:]}
        assert await watched.page.evaluate("document.documentElement.scrollWidth") == size[0]


async def test_a_busy_pool_is_drawn_as_it_moves(open_page: Any) -> None:
    shown: list[dict[str, Any]] = []
    async with under_load() as url:
        watched = await open_page(url)
        async with aclosing(samples(url, "busy")) as stream:
            told = await anext(stream)
            for _ in range(7):
                told += await anext(stream)
                shown.append(await drawn(watched, "busy"))
            told += await anext(stream)

    assert {number(part["tokens"]) for part in shown} <= {sample["tokens"] for sample in told}
    assert max(sample["tokens"] for sample in told) <= 10_000
    before, after = shown[0], shown[-1]
    granted = number(after["granted"]) - number(before["granted"])
    assert 5 < granted <= sum(sample["grants"] for sample in told)
    rate = sum(sample["grants"] for sample in told[1:]) / (told[-1]["at"] - told[0]["at"])
    assert float(after["rate"]) == pytest.approx(rate, rel=0.6)
    assert len(heights(after["line"])) > len(heights(before["line"]))
    assert "queue" in after["states"]
    assert watched.complaints == []


async def test_it_says_that_the_connection_is_lost_and_takes_up_again(open_page: Any) -> None:
    limits = {"completion": POOLS["full"]}
    async with TokenCounter(limits, assume_idle=True) as counter:
        url = counter.url
        async with TokenClient("a", url) as client:
            await client.lock_tokens(2_500)
        watched = await open_page(url)
        await expect(watched.page.locator("[data-field=tokens]")).to_have_text("2,500")
    await watched.until_state("lost")
    lost = await watched.text("#connection")
    points = len(heights((await drawn(watched, "completion"))["line"]))

    async with (
        TokenCounter(limits, assume_idle=True, port=int(url.rpartition(":")[2])),
        TokenClient("a", url) as client,
    ):
        await client.lock_tokens(5_000)
        await watched.until_state("live")
        await expect(watched.page.locator("[data-field=tokens]")).to_have_text("5,000")
        back = await drawn(watched, "completion")

    assert re.fullmatch(r"Connection lost: trying again\. What you see is from \d\d:\d\d:\d\d\.", lost)
    assert len(heights(back["line"])) > points
    assert [complaint for complaint in watched.complaints if "net::ERR_" not in complaint] == []


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a signal that stops a process")
async def test_a_counter_that_is_silent_counts_as_lost(open_page: Any) -> None:
    command = (sys.executable, "-m", "penstock_token_counter", "--tpm", "1000", "--rpm", "60", "--port", "0", "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        watched = await open_page(json.loads(await process.stdout.readline())["url"])
        process.send_signal(signal.SIGSTOP)
        await watched.until_state("lost")
        said = await watched.text("#connection")
        process.send_signal(signal.SIGCONT)

        await watched.until_state("live")
    finally:
        process.kill()
        await process.communicate()

    assert said.startswith("The counter is silent: trying again.")


async def test_many_pools_and_apps_stay_readable_on_a_phone(open_page: Any) -> None:
    many = {f"deployment-{index}-in-a-region-with-a-long-name": Limits(tpm=100_000, rpm=6_000) for index in range(12)}
    async with TokenCounter(many, assume_idle=True) as counter:
        pool = next(iter(many))
        for index in range(60):
            async with TokenClient(f"app-{index}-" + "x" * 60, counter.url, pool=pool) as client:
                await client.lock_tokens(index + 1)
        watched = await open_page(counter.url, PHONE)
        part = watched.page.locator(f"#pool-{pool}")
        await expect(part.locator("[data-field=granted]")).to_have_text("60 requests")
        depth = part.locator(".depth")
        at_first = await depth.get_attribute("open")
        await depth.locator("summary").click()
        few = await part.locator(".queue tbody tr").count()
        await part.get_by_role("button", name="All 50 apps").click()

        assert at_first is None
        assert few == 6
        assert await part.locator(".queue tbody tr").count() == 50
        assert "and 10 more" in await part.locator(".more").inner_text()
        assert await watched.page.locator("#overview tbody tr").count() == 12
        assert await watched.page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
        assert watched.complaints == []
