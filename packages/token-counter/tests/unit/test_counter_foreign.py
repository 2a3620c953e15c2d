"""Two counters for one quota are noticed by the ids that their callers bring."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter
from penstock_token_counter._foreign import ForeignIds

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BRIEF = {"completion": Limits(tpm=1000, rpm=6000, headroom=0.0, window=0.2, margin=0.0)}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("penstock_token_counter")]


async def status_of(client: TokenClient) -> dict[str, Any]:
    status = await client.get_status()
    assert status is not None
    return status


async def window_is_over(client: TokenClient) -> None:
    """Wait until what was granted so far has left the window, which began with the counter at the latest."""
    lock = await client.lock_tokens(1)
    async with asyncio.timeout(20):
        while await client.release_tokens(lock.request_id or ""):
            await asyncio.sleep(0.01)


async def test_grants_of_a_counter_beside_are_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        TokenCounter(BRIEF, assume_idle=True) as one,
        TokenCounter(BRIEF, assume_idle=True) as other,
        TokenClient("a", one.url) as here,
        TokenClient("a", other.url) as there,
    ):
        await window_is_over(here)
        locks = [await there.lock_tokens(1) for _ in range(3)]
        known = [await here.report_usage(lock.request_id or "", 1, 1) for lock in locks[:2]]
        known.append(await here.release_tokens(locks[2].request_id or ""))
        status, beside = await status_of(here), await status_of(there)

    assert known == [False, False, False]
    assert (status["foreign_ids"], beside["foreign_ids"]) == (3, 0)
    (warning,) = warnings(caplog)
    assert beside["instance"] in warning


async def test_late_grants_of_its_own_are_none(caplog: pytest.LogCaptureFixture) -> None:
    async with TokenCounter(BRIEF, assume_idle=True) as counter, TokenClient("a", counter.url) as client:
        lock = await client.lock_tokens(1)
        await window_is_over(client)
        known = await client.report_usage(lock.request_id or "", 1, 1)

        assert (known, (await status_of(client))["foreign_ids"]) == (False, 0)
    assert not warnings(caplog)


async def test_the_counter_before_is_known_from_the_journal(tmp_path: Path) -> None:
    async with (
        TokenCounter(BRIEF, assume_idle=True, journal=tmp_path) as before,
        TokenClient("a", before.url) as client,
    ):
        lock = await client.lock_tokens(1)

    async with TokenCounter(BRIEF, assume_idle=True, journal=tmp_path) as after, TokenClient("a", after.url) as client:
        await window_is_over(client)
        known = await client.report_usage(lock.request_id or "", 1, 1)

        assert (known, (await status_of(client))["foreign_ids"]) == (False, 0)


def test_without_a_journal_the_callers_of_the_counter_before_may_come_for_one_window() -> None:
    ids = ForeignIds("completion", since=60.0)

    for now in (0.0, 59.9, 60.0):
        ids.note("there-7", ours={"here"}, now=now)

    assert ids.count == 1


def test_an_ancestor_is_never_foreign() -> None:
    ids = ForeignIds("completion", since=60.0)
    ids.adopt(["before-1", "before-2"])

    ids.note("before-9", ours={"here"}, now=100.0)
    ids.note("here-9", ours={"here"}, now=100.0)

    assert ids.count == 0
