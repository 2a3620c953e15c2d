"""Every fault of the local Blob Storage, as the unmodified SDK meets it, and what it leaves in the account."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobBlock, generate_blob_sas
from azure.storage.blob.aio import BlobServiceClient, ContainerClient, ExponentialRetry

from penstock_local_azure import (
    Blob,
    CorruptBody,
    CutAnswer,
    CutRequest,
    LateAnswer,
    SlowBody,
    StalledAnswer,
    StorageError,
)

LARGE = bytes(range(256)) * 16_384  # 4 MiB: more than sockets buffer


@pytest.fixture
async def blob() -> AsyncIterator[Blob]:
    async with Blob(containers=["logs", "other"]) as running:
        yield running


@pytest.fixture
async def logs(blob: Blob) -> AsyncIterator[ContainerClient]:
    """A client that tries nothing again."""
    async with BlobServiceClient.from_connection_string(blob.connection_string, retry_total=0) as service:
        yield service.get_container_client("logs")


@pytest.fixture
async def patient(blob: Blob) -> AsyncIterator[ContainerClient]:
    """A client that tries again, at once."""
    again = ExponentialRetry(initial_backoff=0, increment_base=0, retry_total=2, random_jitter_range=0)
    async with BlobServiceClient.from_connection_string(blob.connection_string, retry_policy=again) as service:
        yield service.get_container_client("logs")


async def names(container: ContainerClient) -> list[str]:
    return [name async for name in container.list_blob_names()]


@asynccontextmanager
async def reading(blob: Blob, name: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """A read of a blob by a client that leaves all to the test."""
    expiry = datetime.now(UTC) + timedelta(hours=1)
    token = generate_blob_sas(
        "penstocklocal", "logs", name, account_key=blob.account_key, permission="r", expiry=expiry
    )
    url = f"{blob.account_url}/logs/{name}?{token}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        yield answer


class TestStorageErrors:
    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("ServerBusy", 503),
            ("TooManyRequests", 429),
            ("InternalError", 500),
            ("OperationTimedOut", 500),
            ("AuthorizationFailure", 403),
            ("InvalidAuthenticationInfo", 401),
        ],
    )
    async def test_say_why_and_do_nothing(self, blob: Blob, logs: ContainerClient, code: str, status: int) -> None:
        blob.faults.add(StorageError(code), on="Put Blob")

        with pytest.raises(HttpResponseError) as caught:
            await logs.upload_blob("a", b"data")

        assert (caught.value.status_code, getattr(caught.value, "error_code", None)) == (status, code)
        assert await names(logs) == []
        assert blob.faults.fired == {("StorageError", "Put Blob", "logs"): 1}

    async def test_tell_how_long_to_wait(self, blob: Blob) -> None:
        blob.faults.add(StorageError("ServerBusy", retry_after=7))
        async with BlobServiceClient.from_connection_string(blob.connection_string, retry_total=0) as service:
            with pytest.raises(HttpResponseError) as caught:
                await service.get_account_information()
        headers: Any = getattr(caught.value.response, "headers", {})
        assert headers["Retry-After"] == "7"

    async def test_last_until_the_script_is_cleared(self, blob: Blob, logs: ContainerClient) -> None:
        blob.faults.add(StorageError("AuthorizationFailure"))
        for _ in range(3):
            with pytest.raises(HttpResponseError):
                await logs.upload_blob("a", b"data")
        blob.faults.clear()
        await logs.upload_blob("a", b"data")
        assert blob.stats()["faults"] == [
            {"fault": "StorageError", "on": "Put Blob", "container": "logs", "count": 3},
        ]

    async def test_are_got_over_by_a_client_that_tries_again(self, blob: Blob, patient: ContainerClient) -> None:
        blob.faults.add(StorageError("ServerBusy", retry_after=0), nth=1)
        await patient.upload_blob("a", b"data")
        assert blob.stats()["answers"] == {"201": 1, "503": 1}

    async def test_strike_one_container_or_blob_only(self, blob: Blob, logs: ContainerClient) -> None:
        blob.faults.add(StorageError(), container="other")
        blob.faults.add(StorageError(), container="logs", blob="b")
        await logs.upload_blob("a", b"data")
        with pytest.raises(HttpResponseError):
            await logs.upload_blob("b", b"data")

    async def test_strike_nobody_who_may_not_ask(self, blob: Blob) -> None:
        blob.faults.add(StorageError())
        async with aiohttp.ClientSession() as session, session.get(f"{blob.account_url}?comp=list") as answer:
            assert answer.status == 401
        assert not blob.faults.fired


class TestCutRequests:
    @pytest.mark.parametrize("after", [0.0, 0.5])
    async def test_leave_nothing(self, blob: Blob, logs: ContainerClient, after: float) -> None:
        blob.faults.add(CutRequest(after), on="Put Blob")
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            await logs.upload_blob("a", LARGE)
        assert await names(logs) == []

    async def test_can_be_blocks(self, blob: Blob, logs: ContainerClient) -> None:
        one = logs.get_blob_client("a")
        await one.stage_block("0", LARGE)
        blob.faults.add(CutRequest(), on="Put Block")
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            await one.stage_block("1", LARGE)
        assert [block.id for block in (await one.get_block_list("uncommitted"))[1]] == ["0"]

    async def test_can_be_reads(self, blob: Blob, logs: ContainerClient) -> None:
        blob.faults.add(CutRequest(), on="List Blobs")
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            await names(logs)
        blob.faults.clear()
        assert await names(logs) == []


class TestAnswers:
    @pytest.mark.parametrize("after", [0.0, 0.5])
    async def test_that_are_lost_come_after_the_deed(self, blob: Blob, logs: ContainerClient, after: float) -> None:
        blob.faults.add(CutAnswer(after), on="Put Block List")  # its answer has no body
        one = logs.get_blob_client("a")
        await one.stage_block("0", b"data")
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            await one.commit_block_list([BlobBlock("0")])
        assert await (await one.download_blob()).readall() == b"data"

    async def test_that_are_lost_make_a_client_that_tries_again_meet_its_own_blob(
        self, blob: Blob, patient: ContainerClient
    ) -> None:
        blob.faults.add(CutAnswer(after=0), on="Put Blob", nth=1)
        with pytest.raises(HttpResponseError) as caught:
            await patient.upload_blob("a", b"data")
        assert caught.value.status_code == 409
        assert blob.stats()["requests"]["Put Blob"] == 2
        assert blob.stats()["blobs"] == 1

    async def test_that_are_cut_give_a_part(self, blob: Blob, logs: ContainerClient) -> None:
        await logs.upload_blob("a", LARGE)
        blob.faults.add(CutAnswer(after=0.5), on="Get Blob")
        async with reading(blob, "a") as answer:
            assert (answer.status, answer.content_length) == (200, len(LARGE))
            with pytest.raises(aiohttp.ClientPayloadError, match=f"received {len(LARGE) // 2} of"):
                await answer.read()

    async def test_that_are_cut_may_seem_whole(self, blob: Blob, logs: ContainerClient) -> None:
        await logs.upload_blob("a", b"12345678")
        blob.faults.add(CutAnswer(after=0.5, abrupt=False), on="Get Blob")
        async with reading(blob, "a") as answer:
            assert await answer.read() == b"1234"

    async def test_that_are_late_are_late(self, blob: Blob, logs: ContainerClient) -> None:
        blob.faults.add(LateAnswer(0.3), on="Put Blob")
        started = time.monotonic()
        await logs.upload_blob("a", b"data")
        assert time.monotonic() - started >= 0.3

    async def test_that_stall_never_end(self, blob: Blob, logs: ContainerClient) -> None:
        await logs.upload_blob("a", LARGE)
        blob.faults.add(StalledAnswer(after=0.5), on="Get Blob")
        async with reading(blob, "a") as answer:
            await answer.content.readexactly(len(LARGE) // 2)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer.content.read(1), 0.3)

    @pytest.mark.parametrize("after", [0.0, 0.5])
    async def test_that_stall_at_once_come_after_the_deed(
        self, blob: Blob, logs: ContainerClient, after: float
    ) -> None:
        blob.faults.add(StalledAnswer(after), on="Put Blob")
        with pytest.raises((ServiceResponseError, ServiceRequestError)):
            await logs.upload_blob("a", b"data", read_timeout=0.3)
        assert await names(logs) == ["a"]


class TestBodies:
    async def test_that_change_on_the_way_do_not_match_their_md5(self, blob: Blob, logs: ContainerClient) -> None:
        blob.faults.add(CorruptBody(), on="Put Blob", nth=1)
        with pytest.raises(HttpResponseError, match="Md5Mismatch"):
            await logs.upload_blob("a", b"data", validate_content="md5")
        assert await names(logs) == []

    async def test_that_change_on_the_way_are_kept_so_without_an_md5(self, blob: Blob, logs: ContainerClient) -> None:
        blob.faults.add(CorruptBody(), on="Put Blob", nth=1)
        one = await logs.upload_blob("a", b"data")
        assert await (await one.download_blob()).readall() == b"eata"

    async def test_that_change_on_the_way_back_are_another_read_away(self, blob: Blob, logs: ContainerClient) -> None:
        one = await logs.upload_blob("a", b"data")
        blob.faults.add(CorruptBody(), on="Get Blob", nth=1)
        assert [await (await one.download_blob()).readall() for _ in range(2)] == [b"eata", b"data"]

    async def test_may_be_slow_both_ways(self, blob: Blob, logs: ContainerClient) -> None:
        blob.faults.add(SlowBody(100_000))
        for act in (logs.upload_blob("a", bytes(30_000)), logs.download_blob("a")):
            started = time.monotonic()
            await act
            assert time.monotonic() - started >= 0.3
