"""A counter with a journal, over the wire: what it forgets when it ends, which is nothing."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from penstock_token_client import Limits, TokenClient
from penstock_token_client.protocol import LockRequest
from penstock_token_counter import TokenCounter, _journal_file
from penstock_token_counter._desk import Desk
from penstock_token_counter._http import build_app
from penstock_token_counter._journal import Journal
from penstock_token_counter._records import JournalError
from penstock_token_counter._sole_gate import SoleGate

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits(tpm=1000, rpm=600, sub_window=10.0, headroom=0.0)
POOLS = {"completion": LIMITS}
BRIEF = Limits(tpm=20, rpm=6000, headroom=0.0, window=0.05, margin=0.0)


class Disk:
    """Stands between the journal and the real disk, which a test can fill up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.synced = 0
        self._write = os.write
        self._sync = _journal_file._sync_data
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(_journal_file, "_sync_data", self.sync)

    def write(self, file: int, data: bytes) -> int:
        if self.full and len(data) > 10:
            self._write(file, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(file, data)

    def sync(self, file: int) -> None:
        self._sync(file)
        self.synced += 1


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def post(url: str, message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.post(url, json={"app_id": "a", **message}) as response:
        return response.status, await response.json()


async def used(counter: TokenCounter) -> tuple[int, int]:
    async with TokenClient("a", counter.url) as client:
        status = await client.get_status()
    assert status is not None
    return status["used_tokens"], status["locked_tokens"]


async def test_a_counter_goes_on_where_the_one_before_it_ended(tmp_path: Path) -> None:
    lock = {"token_count": 300, "idempotency_key": "k"}
    async with TokenCounter(POOLS, assume_idle=True, journal=tmp_path) as first:
        _, granted = await post(f"{first.url}/lock", lock)
        _, second = await post(f"{first.url}/lock", {"token_count": 200})
        _, third = await post(f"{first.url}/lock", {"token_count": 100})
        usage = {"prompt_tokens": 250, "completion_tokens": 0}
        await post(f"{first.url}/report", {"request_id": second["request_id"], **usage})
        await post(f"{first.url}/release", {"request_id": third["request_id"]})

    async with TokenCounter(POOLS, journal=tmp_path) as after:
        assert await used(after) == (250, 300)
        _, again = await post(f"{after.url}/lock", lock)
        assert again["request_id"] == granted["request_id"]
        assert await used(after) == (250, 300)
        _, ended = await post(f"{after.url}/report", {"request_id": granted["request_id"], **usage})
        assert ended["known"]
        assert await used(after) == (550, 0)


async def test_a_new_journalstarts_as_if_the_window_were_full(tmp_path: Path) -> None:
    async with TokenCounter(POOLS, journal=tmp_path / "new") as counter:
        assert await used(counter) == (1000, 0)
    async with TokenCounter(POOLS, journal=tmp_path / "new") as counter:
        assert await used(counter) == (1000, 0)


async def test_a_pool_that_is_new_to_the_journalstarts_full_and_the_others_go_on(tmp_path: Path) -> None:
    async with TokenCounter(POOLS, assume_idle=True, journal=tmp_path) as first:
        await post(f"{first.url}/lock", {"token_count": 300})

    async with TokenCounter({**POOLS, "other": LIMITS}, journal=tmp_path) as after:
        _, answer = await post(f"{after.url}/pools/other/lock", {"token_count": 1})
        assert (answer["allowed"], await used(after)) == (False, (0, 300))


async def test_a_journalserves_one_counter_at_a_time(tmp_path: Path) -> None:
    async with TokenCounter(POOLS, journal=tmp_path):
        with pytest.raises(JournalError, match="another token counter uses it"):
            await TokenCounter(POOLS, journal=tmp_path).__aenter__()
    async with TokenCounter(POOLS, journal=tmp_path):
        pass


async def test_a_port_in_use_lets_go_of_the_journal(tmp_path: Path) -> None:
    async with TokenCounter(POOLS) as other:
        with pytest.raises(OSError, match="in use"):
            await TokenCounter(POOLS, port=int(other.url.rpartition(":")[2]), journal=tmp_path).__aenter__()
    async with TokenCounter(POOLS, journal=tmp_path):
        pass


async def test_an_answer_leaves_only_after_its_grant_is_durable(tmp_path: Path, disk: Disk) -> None:
    async with TokenCounter(POOLS, assume_idle=True, journal=tmp_path) as counter:
        for _ in range(5):
            before = disk.synced
            _, granted = await post(f"{counter.url}/lock", {"token_count": 10})
            assert disk.synced > before
            assert granted["request_id"].split(":")[0].removeprefix("token_").encode() in journal(tmp_path)


async def test_grants_that_are_decided_together_share_one_write(tmp_path: Path, disk: Disk) -> None:
    async with TokenCounter(POOLS, assume_idle=True, journal=tmp_path) as counter, TokenClient("a", counter.url) as one:
        await one.lock_tokens(1)
        before = disk.synced
        desk = counter._desks["completion"]
        await asyncio.gather(*(desk.lock(LockRequest(app_id="a", token_count=1)) for _ in range(50)))

        assert disk.synced - before == 1


async def test_a_full_disk_pauses_grants_until_it_has_room(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    async with TokenCounter(POOLS, assume_idle=True, journal=tmp_path) as counter, TokenClient("a", counter.url) as one:
        kept = await one.lock_tokens(300)
        disk.full = True
        refused = [await one.lock_tokens(100) for _ in range(3)]
        status, _ = await post(
            f"{counter.url}/report", {"request_id": kept.request_id, "prompt_tokens": 400, "completion_tokens": 0}
        )
        disk.full = False
        async with one.reserve(100) as reservation:
            await reservation.report(prompt_tokens=100, completion_tokens=0)
        assert await used(counter) == (400 + 100, 0)

    assert [(lock.allowed, lock.code, lock.retry_after) for lock in refused] == [(False, "paused", 1.0)] * 3
    assert status == 503
    said = [record.getMessage() for record in caplog.records if record.name.startswith("penstock_token_counter")]
    assert ["cannot be written" in line for line in said] == [True, False]
    async with TokenCounter(POOLS, journal=tmp_path) as after:
        assert await used(after) == (500, 0)


async def test_a_counter_does_not_start_on_a_full_disk(tmp_path: Path, disk: Disk) -> None:
    disk.full = True

    with pytest.raises(JournalError, match="No space left"):
        await TokenCounter(POOLS, journal=tmp_path).__aenter__()

    assert not (tmp_path / "journal.new").exists()


async def test_the_file_stays_small_however_much_was_granted(tmp_path: Path) -> None:
    recent = Journal(tmp_path, smallest=1000)
    desk = Desk("completion", SoleGate("completion", BRIEF, journal=recent))
    await recent.open({"completion": desk.gate.pool}, assume_idle=True)
    written = largest = 0
    for _ in range(400):
        before = len(journal(tmp_path))
        await desk.lock(LockRequest(app_id="a", token_count=1, wait_seconds=10))
        written += max(0, len(journal(tmp_path)) - before)
        largest = max(largest, len(journal(tmp_path)))
    await recent.aclose()

    # At most 20 grants are in the window, of less than 250 bytes each; the file is rewritten at twice that.
    assert largest < 2 * 20 * 250 + 250
    assert written > 4 * largest


async def test_it_is_ready_when_the_replay_is_done_and_callers_wait_for_it(tmp_path: Path) -> None:
    keeping = Journal(tmp_path)
    desk = Desk("completion", SoleGate("completion", LIMITS, journal=keeping))
    async with TestClient(TestServer(build_app({"completion": desk}))) as client:
        assert (await client.get("/readyz")).status == 503
        asking = asyncio.ensure_future(client.post("/lock", json={"app_id": "a", "token_count": 1}))
        await keeping.open({"completion": desk.gate.pool}, assume_idle=True)
        assert (await client.get("/readyz")).status == 200
        assert (await (await asking).json())["allowed"]
    await keeping.aclose()


def journal(directory: Path) -> bytes:
    return (directory / "journal").read_bytes()
