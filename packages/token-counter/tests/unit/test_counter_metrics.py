"""What a scraper reads is how the pools stand."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
POOLS = {
    "completion": Limits(tpm=1000, rpm=60, sub_window=60.0, headroom=0.0),
    "embedding": Limits(tpm=500, rpm=60),
}


async def scraped(url: str, accept: str = "text/plain") -> str:
    headers = {"Accept": accept}
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics", headers=headers) as response:
        assert response.status == 200
        return await response.text()


def samples(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Return each sample by its name, without the prefix, and its labels, the pool first."""
    found: dict[tuple[str, ...], float] = {}
    for family in families:
        for sample in family.samples:
            labels = dict(sample.labels)
            pool = [labels.pop("pool")] if "pool" in labels else []
            found[sample.name.removeprefix("penstock_quota_"), *pool, *labels.values()] = sample.value
    return found


async def test_the_metrics_agree_with_the_status() -> None:
    async with TokenCounter(POOLS, assume_idle=True) as counter, TokenClient("a", counter.url) as client:
        used = await client.lock_tokens(300)
        await client.report_usage(used.request_id or "", 100, 50)
        await client.lock_tokens(500)
        await client.lock_tokens(5000)
        waiting = asyncio.ensure_future(waits(client))
        async with asyncio.timeout(10):
            while (status := await client.get_status() or {}).get("waiting") != 1:
                await asyncio.sleep(0.005)
        seen = samples(plain(await scraped(counter.url)))
        waiting.cancel()

    for name, field in [
        ("limit_tokens", "tpm"),
        ("limit_requests", "rpm"),
        ("available_tokens", "available_tokens"),
        ("used_tokens", "used_tokens"),
        ("locked_tokens", "locked_tokens"),
        ("available_requests", "available_requests"),
        ("granted_total", "granted"),
        ("refused_total", "refused"),
        ("unreported_total", "unreported"),
        ("foreign_ids_total", "foreign_ids"),
    ]:
        assert seen[name, "completion"] == status[field]
    assert (status["used_tokens"], status["locked_tokens"], status["refused"]) == (300, 500, 1)
    assert seen["limit_tokens", "embedding"] == 500
    assert seen["effective_limit_tokens", "completion"] == status["effective_tpm"] == 1000
    assert seen["estimate_bias", "completion"] == status["bias"]
    assert seen["waiting", "completion", "a"] == 1
    assert seen["oldest_wait_seconds", "completion", "a"] >= 0
    assert seen["app_granted_tokens_total", "completion", "a"] == status["apps"]["a"]["granted_tokens"] == 800


async def test_answers_429_are_counted_by_their_cause() -> None:
    async with TokenCounter(POOLS, assume_idle=True) as counter, TokenClient("a", counter.url) as client:
        async with client.reserve(300) as reservation:
            await reservation.report(
                prompt_tokens=0, completion_tokens=0, status="429", headers={"retry-after-ms": "5000"}
            )
        seen = samples(plain(await scraped(counter.url)))

    counts = {
        labels[-1]: value
        for (name, *labels), value in seen.items()
        if name == "http_429_total" and labels[0] == "completion"
    }
    assert set(counts) == {"tokens", "requests", "other"}
    assert sum(counts.values()) == 1
    assert 0 < seen["paused_seconds", "completion"] <= 5


@pytest.mark.parametrize("journal", [False, True])
async def test_the_state_of_the_journal_is_one_of_four(tmp_path: Path, *, journal: bool) -> None:
    async with TokenCounter(POOLS, journal=tmp_path if journal else None) as counter:
        seen = samples(plain(await scraped(counter.url)))

    states = {
        state: value for (name, *labels), value in seen.items() if name == "journal_state" for state in labels[1:]
    }
    assert states == {"none": not journal, "replaying": 0, "writing": journal, "paused": 0}


async def test_the_build_is_told() -> None:
    async with TokenCounter(POOLS) as counter:
        assert samples(plain(await scraped(counter.url)))["build_info", "0.1.0"] == 1


async def test_a_scraper_that_speaks_openmetrics_gets_it() -> None:
    async with TokenCounter(POOLS) as counter:
        text = await scraped(counter.url, "application/openmetrics-text; version=1.0.0")

    assert text.endswith("# EOF\n")
    families = list(openmetrics(text))  # type: ignore[no-untyped-call]  # that module has no types
    assert samples(families)["limit_tokens", "completion"] == 1000


async def test_names_are_those_that_the_readme_promises() -> None:
    async with TokenCounter(POOLS) as counter:
        names = {family.name for family in plain(await scraped(counter.url))}

    assert names == documented()


async def waits(client: TokenClient) -> None:
    async with client.reserve(600):
        pass


def documented() -> set[str]:
    """Return the names in the table of the README, as the parser gives them: without the ending of counters."""
    section = README.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    return {name.removesuffix("_total") for name in re.findall(r"^\| `(penstock_quota_\w+)`", section, re.MULTILINE)}
