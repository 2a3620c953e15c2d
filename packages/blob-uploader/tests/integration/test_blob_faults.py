"""What the service, the network and the setup do to uploads, by a front that forwards to the stand-in or fails."""

import asyncio
import hashlib
import logging
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry
from yarl import URL

from penstock_blob_uploader import (
    AccessDeniedError,
    AccountUnreachableError,
    AsyncBlobStorageUploader,
    Conflict,
    ContainerMissingError,
    Created,
    NotUploadedError,
    RefusedError,
    Same,
    TransferError,
    UnavailableError,
    UploadError,
)
from penstock_local_azure import Blob

Holdings = Callable[[], Awaitable[dict[str, str]]]

MIB = 1024**2
NOT_FORWARDED = ("Host", "Transfer-Encoding", "Server", "Date")
WITHOUT_SDK_RETRIES = {"retry_policy": ExponentialRetry(retry_total=0)}


@dataclass(frozen=True)
class Fault:
    """What happens to one request: an answer, or a cut connection, before or after the stand-in did as it was asked."""

    status: int = 0
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "PUT"
    query: str = ""
    done_first: bool = False


CUT = Fault()
CUT_AFTER_COMMIT = Fault(done_first=True)
CUT_AFTER_BLOCK_LIST = Fault(done_first=True, query="comp=blocklist")


class Front:
    """Forwards everything to the stand-in, unless the next fault is for this kind of request."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.asked: list[tuple[float, str]] = []

    @property
    def connection_string(self) -> str:
        return self._blob.connection_string.replace(self._blob.account_url, f"{self.address}/{self._account}")

    @property
    def _account(self) -> str:
        return self._blob.account_url.rsplit("/", 1)[1]

    async def serve(self) -> AsyncIterator["Front"]:
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            yield self
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((time.monotonic(), f"{request.method} {request.query_string}".strip()))
        fault = self._fault_for(request)
        body = await request.read()
        if fault is None:
            return await self._forward(request, body)
        if fault.done_first:
            await self._forward(request, body)
        if fault.status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=fault.status, headers={"x-ms-error-code": fault.code, **fault.headers})

    def _fault_for(self, request: web.Request) -> Fault | None:
        fault = self.faults[0] if self.faults else self.always
        if fault is None or request.method != fault.method or fault.query not in request.query_string:
            return None
        return self.faults.popleft() if self.faults else fault

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        url = URL(self._blob.account_url.rsplit("/", 1)[0] + request.raw_path, encoded=True)
        answer = await self._session.request(
            request.method,
            url,
            headers={name: value for name, value in request.headers.items() if name not in NOT_FORWARDED},
            data=body if request.method == "PUT" else None,
            skip_auto_headers=["Content-Type"],  # it is signed, and was not there
        )
        content = await answer.read()
        headers = {name: value for name, value in answer.headers.items() if name not in NOT_FORWARDED}
        return web.Response(status=answer.status, headers=headers, body=None if request.method == "HEAD" else content)


@pytest.fixture
async def front(blob: Blob) -> AsyncIterator[Front]:
    async for served in Front(blob).serve():
        yield served


def uploader_to(target: Front | Blob, *, sdk_retries: int = 0, **options: object) -> AsyncBlobStorageUploader:
    """An uploader in a hurry: without the SDK's own retries, unless a test is about them."""
    retry = {} if sdk_retries else {"client_options": WITHOUT_SDK_RETRIES}
    settings = {"container_name": "box", "connection_string": target.connection_string, "retry_delay": 0.01}
    return AsyncBlobStorageUploader(**{**settings, **retry, **options})  # type: ignore[arg-type]  # options vary by test


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- Passing trouble --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [Fault(503, "ServerBusy"), Fault(500, "InternalError"), Fault(429), Fault(400, "Md5Mismatch")],
    ids=lambda fault: fault.code or str(fault.status),
)
async def test_trouble_that_passes_is_outlasted(front: Front, holdings: Holdings, tmp_path: Path, fault: Fault) -> None:
    front.faults.extend([fault] * 3)
    path = written(tmp_path / "f", b"content")

    async with uploader_to(front) as uploader:
        outcome = await (await uploader.upload_file(path))

    assert isinstance(outcome, Created)
    assert uploader.statistics().retries == 3
    assert await holdings() == {"f": sha256(path)}


async def test_cut_connections_are_outlasted(front: Front, holdings: Holdings, tmp_path: Path) -> None:
    front.faults.extend([CUT] * 5)
    path = written(tmp_path / "f", b"content")

    async with uploader_to(front) as uploader:
        outcome = await (await uploader.upload_file(path))

    assert isinstance(outcome, Created)
    assert len(front.asked) == 6
    assert uploader.statistics().retries == 2, "aiohttp itself repeats a PUT once on a cut connection"
    assert await holdings() == {"f": sha256(path)}


async def test_the_wait_the_service_asks_for_is_kept(front: Front, tmp_path: Path) -> None:
    front.faults.append(Fault(503, "ServerBusy", {"x-ms-retry-after-ms": "700"}))

    async with uploader_to(front, retry_delay=0.001) as uploader:
        await (await uploader.upload_file(written(tmp_path / "f", b"content")))

    (first, _), (second, _) = front.asked
    assert second - first >= 0.7


async def test_trouble_that_stays_uses_up_the_attempts_and_keeps_the_file(front: Front, tmp_path: Path) -> None:
    front.always = Fault(503, "ServerBusy")
    path = written(tmp_path / "f", b"content")

    async with uploader_to(front, max_retries=2, delete_after_upload=True) as uploader:
        with pytest.raises(UnavailableError, match="ServerBusy") as failure:
            await (await uploader.upload_file(path))

    assert failure.value.environment
    assert len(front.asked) == 3
    assert path.exists()


async def test_put_repeats_nothing_itself_but_says_what_would_help(front: Front, tmp_path: Path) -> None:
    front.faults.append(Fault(503, "ServerBusy", {"Retry-After": "20"}))

    async with uploader_to(front, sdk_retries=3) as uploader:
        with pytest.raises(UnavailableError) as failure:
            await uploader.put(written(tmp_path / "f", b"content"), "f")

    assert failure.value.retry_after == 20.0
    assert len(front.asked) == 1, "asked to wait for long, the SDK's own retries give way"


async def test_the_sdk_s_own_retry_mends_a_cut_connection_within_seconds(front: Front, tmp_path: Path) -> None:
    front.faults.extend([CUT, CUT])

    async with uploader_to(front, sdk_retries=3) as uploader:
        outcome = await uploader.put(written(tmp_path / "f", b"content"), "f")

    assert isinstance(outcome, Created)
    assert len(front.asked) == 3


SIZES = pytest.mark.parametrize(
    ("size", "fault"), [(7, CUT_AFTER_COMMIT), (5 * MIB, CUT_AFTER_BLOCK_LIST)], ids=["one request", "blocks"]
)


@SIZES
async def test_committed_but_unanswered_and_started_again_ends_in_same(
    front: Front, holdings: Holdings, tmp_path: Path, size: int, fault: Fault
) -> None:
    path = written(tmp_path / "f", os.urandom(size))
    front.faults.extend([fault, CUT])

    async with uploader_to(front) as first:
        with pytest.raises(UnavailableError):
            await first.put(path, "f")
    async with uploader_to(front, delete_after_upload=True) as restarted:
        outcome = await (await restarted.upload_file(path, "f"))

    assert isinstance(outcome, Same)
    assert await holdings() == {"f": outcome.sha256}
    assert not path.exists()


@SIZES
async def test_committed_but_unanswered_ends_in_same_by_itself(
    front: Front, holdings: Holdings, tmp_path: Path, size: int, fault: Fault
) -> None:
    path = written(tmp_path / "f", os.urandom(size))
    front.faults.append(fault)

    async with uploader_to(front) as uploader:
        outcome = await (await uploader.upload_file(path, "f"))

    assert isinstance(outcome, Same)
    assert await holdings() == {"f": sha256(path)}


async def test_a_failing_block_ends_the_attempt_and_the_next_one_sends_all_again(
    front: Front, holdings: Holdings, tmp_path: Path
) -> None:
    path = written(tmp_path / "f", os.urandom(14 * MIB))
    front.faults.append(Fault(500, "InternalError", query="comp=block&"))

    async with uploader_to(front) as uploader:
        outcome = await (await uploader.upload_file(path))

    assert isinstance(outcome, Created)
    assert await holdings() == {"f": sha256(path)}


@pytest.mark.parametrize("size", [7, 9 * MIB])
async def test_a_file_that_changes_while_it_is_sent_is_never_committed(
    front: Front, holdings: Holdings, tmp_path: Path, size: int
) -> None:
    path = written(tmp_path / "f", os.urandom(size))
    front.faults.append(Fault(503, "ServerBusy"))

    async with uploader_to(front, retry_delay=0.2) as uploader:
        handle = await uploader.upload_file(path)
        async with asyncio.timeout(5):
            while not front.asked:
                await asyncio.sleep(0)
        path.write_bytes(b"other")
        with pytest.raises(UploadError, match="handed over"):
            await handle

    assert await holdings() == {}


async def test_a_refusal_for_good_is_told_at_once(front: Front, tmp_path: Path) -> None:
    front.always = Fault(400, "InvalidUri")

    async with uploader_to(front) as uploader:
        with pytest.raises(RefusedError, match="InvalidUri"):
            await (await uploader.upload_file(written(tmp_path / "f", b"content")))

    assert len(front.asked) == 1


# --- A setup that somebody must mend ----------------------------------------------------------------------------------


async def test_a_missing_right_pauses_the_queue_which_resumes_when_it_is_granted(
    front: Front, holdings: Holdings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "penstock_blob_uploader")
    front.always = Fault(403, "AuthorizationPermissionMismatch")
    paths = [written(tmp_path / f"f{n}", b"x" * n) for n in range(20)]

    async with uploader_to(front, max_retries=0) as uploader:
        handles = [await uploader.upload_file(path) for path in paths]
        async with asyncio.timeout(10):
            while len(front.asked) < 12:
                await asyncio.sleep(0.001)
        assert "Storage Blob Data Contributor" in (uploader.statistics().paused or "")
        front.always = None
        outcomes = [await handle for handle in handles]

    assert all(isinstance(outcome, Created) for outcome in outcomes)
    assert set(await holdings()) == {path.name for path in paths}
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1


async def test_a_missing_container_pauses_the_queue_until_somebody_makes_it(blob: Blob, tmp_path: Path) -> None:
    path = written(tmp_path / "f", b"content")

    async with uploader_to(blob, container_name="later", max_retries=0) as uploader:
        with pytest.raises(ContainerMissingError, match="create_container=True") as failure:
            await uploader.put(path, "f")
        handle = await uploader.upload_file(path)
        async with BlobServiceClient.from_connection_string(blob.connection_string) as somebody:
            await somebody.create_container("later")
        assert isinstance(await handle, Created)

    assert failure.value.environment


async def test_an_account_that_answers_nothing_pauses_the_queue_until_it_does(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    blob = Blob(port=port, containers=["box"])
    string = (
        f"AccountName=penstocklocal;AccountKey={blob.account_key};BlobEndpoint=http://127.0.0.1:{port}/penstocklocal;"
    )

    async with uploader_to(blob, connection_string=string, max_retries=0) as uploader:
        path = written(tmp_path / "f", b"content")
        with pytest.raises(AccountUnreachableError, match="nothing answers"):
            await uploader.put(path, "f")
        handle = await uploader.upload_file(path)
        async with blob:
            assert isinstance(await handle, Created)


async def test_a_host_unknown_to_dns_is_named_as_such(tmp_path: Path) -> None:
    uploader = AsyncBlobStorageUploader(
        "https://nowhere.blob.core.invalid/",
        "box",
        credential="a2V5",
        client_options={"retry_policy": ExponentialRetry(retry_total=0)},
    )

    async with uploader:
        with pytest.raises(AccountUnreachableError, match="DNS") as failure:
            await uploader.put(written(tmp_path / "f", b"content"), "f")

    assert failure.value.environment


async def test_a_server_that_speaks_no_tls_is_named_as_such(front: Front, tmp_path: Path) -> None:
    url = front.address.replace("http://", "https://") + "/acc"
    async with AsyncBlobStorageUploader(url, "box", credential="a2V5", client_options=WITHOUT_SDK_RETRIES) as uploader:
        with pytest.raises(AccountUnreachableError, match="TLS"):
            await uploader.put(written(tmp_path / "f", b"content"), "f")


async def test_a_wrong_key_is_denied_with_the_remedy(blob: Blob, tmp_path: Path) -> None:
    wrong = blob.connection_string.replace(blob.account_key, "d3Jvbmc=")

    async with uploader_to(blob, connection_string=wrong) as uploader:
        with pytest.raises(AccessDeniedError, match="renew it"):
            await uploader.put(written(tmp_path / "f", b"content"), "f")


async def test_rights_to_write_alone_are_enough(front: Front, holdings: Holdings, tmp_path: Path) -> None:
    path = written(tmp_path / "f", b"content")
    front.always = Fault(403, "AuthorizationPermissionMismatch", method="HEAD")

    async with uploader_to(front, create_container=True) as uploader:
        assert isinstance(await uploader.put(path, "f"), Created)
        with pytest.raises(Conflict, match="only write") as conflict:
            await uploader.put(path, "f")

    assert conflict.value.length is None
    assert await holdings() == {"f": sha256(path)}


async def test_a_container_that_may_not_be_created_says_so(front: Front, tmp_path: Path) -> None:
    front.always = Fault(403, "AuthorizationPermissionMismatch", query="restype=container")

    async with uploader_to(front, container_name="fresh", create_container=True) as uploader:
        with pytest.raises(AccessDeniedError, match="Creating the container fresh"):
            await uploader.put(written(tmp_path / "f", b"content"), "f")


async def test_a_blob_that_goes_away_while_it_is_compared_is_tried_again(front: Front, tmp_path: Path) -> None:
    path = written(tmp_path / "f", b"content")

    async with uploader_to(front) as uploader:
        await uploader.put(path, "f")
        front.faults.append(Fault(404, "BlobNotFound", method="HEAD"))
        with pytest.raises(TransferError):
            await uploader.put(path, "f")
        assert isinstance(await uploader.put(path, "f"), Same)


# --- The end ----------------------------------------------------------------------------------------------------------


async def test_shutdown_at_its_deadline_names_what_is_left_and_keeps_it(front: Front, tmp_path: Path) -> None:
    front.always = Fault(403, "AuthorizationPermissionMismatch")
    paths = [written(tmp_path / f"f{n}", b"x") for n in range(3)]
    uploader = uploader_to(front, delete_after_upload=True)
    await uploader.initialize()
    handles = [await uploader.upload_file(path) for path in paths]

    left = await uploader.shutdown(drain=0.1)

    assert sorted(left) == paths
    assert all(path.exists() for path in paths)
    for handle in handles:
        with pytest.raises(NotUploadedError):
            await handle
