"""The uploader, as code that was written against its predecessor uses it, against containers on the wire."""

import asyncio
import hashlib
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob.aio import BlobServiceClient, ContainerClient, ExponentialRetry

from penstock_blob_uploader import (
    AccessDeniedError,
    AccountUnreachableError,
    AsyncBlobStorageUploader,
    Created,
    FileVanishedError,
    NotUploadedError,
    Same,
    UnavailableError,
    UploaderClosedError,
    UploadError,
    _reading,
    _sending,
)
from penstock_local_azure import Blob, LocalAzure

if TYPE_CHECKING:
    from conftest import Front, Holdings

MIB = 1024**2


@pytest.fixture
def environment(blob: Blob, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that a deployed service has."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", blob.connection_string)
    monkeypatch.setenv("AZURE_STORAGE_CONTAINER", "box")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)


@pytest.fixture
async def uploader(blob: Blob) -> AsyncIterator[AsyncBlobStorageUploader]:
    async with uploader_to(blob) as started:
        yield started


def uploader_to(target: "Front | Blob", **options: object) -> AsyncBlobStorageUploader:
    """An uploader in a hurry: the queue repeats soon, the SDK not at all."""
    settings = {"container_name": "box", "connection_string": target.connection_string, "retry_delay": 0.01}
    retry = {"client_options": {"retry_policy": ExponentialRetry(retry_total=0)}}
    return AsyncBlobStorageUploader(**{**settings, **retry, **options})  # type: ignore[arg-type]  # options vary by test


def written(path: Path, content: bytes = b"content") -> Path:
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def requests(blob: Blob) -> dict[str, int]:
    counted: Any = blob.stats()["requests"]
    return dict(counted)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


async def at_rest(uploader: AsyncBlobStorageUploader) -> None:
    """Wait until everything waits for the setup to be mended and nothing has been read."""
    await until(lambda: uploader.statistics().paused is not None and uploader.statistics().running == 0)


class TestAsyncBlobStorageUploaderInit:
    @pytest.mark.usefixtures("environment")
    async def test_init_with_environment_configuration(self, holdings: "Holdings", tmp_path: Path) -> None:
        async with AsyncBlobStorageUploader() as uploader:
            await (await uploader.upload_file(written(tmp_path / "f")))

        assert await holdings() == {"f": sha256(b"content")}

    @pytest.mark.usefixtures("environment")
    async def test_init_with_custom_parameters(self, front: "Front", tmp_path: Path) -> None:
        """Arguments win over the environment, and the retries asked for are the retries made."""
        front.break_down(503, "ServerBusy")

        async with uploader_to(front, max_retries=2, retry_delay=0.05) as uploader:
            with pytest.raises(UnavailableError):
                await (await uploader.upload_file(written(tmp_path / "f")))

        first, second, third = front.asked
        assert second - first >= 0.04
        assert third - second >= 0.08
        with pytest.raises(ValueError, match="retry_delay"):
            uploader_to(front, retry_delay=0)


class TestAsyncBlobStorageUploaderInitialize:
    async def test_initialize_success(self, blob: Blob, tmp_path: Path) -> None:
        uploader = uploader_to(blob)

        await uploader.initialize()

        assert requests(blob) == {}, "nothing is asked of a service that may be down at the start"
        assert isinstance(await uploader.put(written(tmp_path / "f"), "f"), Created)
        await uploader.shutdown()

    async def test_initialize_already_initialized(self, uploader: AsyncBlobStorageUploader, tmp_path: Path) -> None:
        await (await uploader.upload_file(written(tmp_path / "f")))

        await uploader.initialize()

        assert uploader.statistics().created == 1, "it is the same queue as before"

    async def test_initialize_creates_missing_container(self, blob: Blob, tmp_path: Path) -> None:
        """With the first file that needs it, if asked to, and only then."""
        async with uploader_to(blob, container_name="fresh", create_container=True) as uploader:
            assert isinstance(await (await uploader.upload_file(written(tmp_path / "f"))), Created)
            await (await uploader.upload_file(written(tmp_path / "g")))

        assert requests(blob) == {"Put Blob": 3, "Create Container": 1}

    async def test_initialize_failure_is_raised(self, tmp_path: Path) -> None:
        uploader = AsyncBlobStorageUploader(None, "box", connection_string="AccountKey=c2VjcmV0")

        with pytest.raises(ValueError, match="connection_string") as failure:
            await uploader.initialize()
        with pytest.raises(UploaderClosedError):
            await uploader.upload_file(written(tmp_path / "f"))

        assert "c2VjcmV0" not in str(failure.value)


class TestAsyncBlobStorageUploaderUploadFile:
    async def test_upload_file_success(
        self, uploader: AsyncBlobStorageUploader, holdings: "Holdings", tmp_path: Path
    ) -> None:
        handle = await uploader.upload_file(str(written(tmp_path / "report.pdf")))

        assert await handle == Created(blob_name="report.pdf", length=7, sha256=sha256(b"content"))
        assert await holdings() == {"report.pdf": sha256(b"content")}

    async def test_upload_file_not_found(self, uploader: AsyncBlobStorageUploader, tmp_path: Path) -> None:
        with pytest.raises(FileVanishedError, match="does not exist"):
            await uploader.upload_file(tmp_path / "nothing")

        assert uploader.statistics().waiting == uploader.statistics().running == 0

    async def test_upload_file_already_processed(
        self, front: "Front", blob: Blob, holdings: "Holdings", tmp_path: Path
    ) -> None:
        """Queued twice it is one upload; handed over again later it is found to be there."""
        front.break_down(403, "AuthorizationPermissionMismatch")
        path = written(tmp_path / "f")

        async with uploader_to(front) as uploader:
            first, twin = await uploader.upload_file(path), await uploader.upload_file(path)
            front.mend()
            assert await first == await twin
            assert requests(blob)["Put Blob"] == 1
            again = await (await uploader.upload_file(path))

        assert isinstance(again, Same)
        assert await holdings() == {"f": sha256(b"content")}

    async def test_upload_file_custom_blob_name(
        self, uploader: AsyncBlobStorageUploader, holdings: "Holdings", tmp_path: Path
    ) -> None:
        await (await uploader.upload_file(written(tmp_path / "f"), "2026/november.txt"))

        assert set(await holdings()) == {"2026/november.txt"}

    async def test_upload_file_with_app_name(
        self, uploader: AsyncBlobStorageUploader, holdings: "Holdings", tmp_path: Path
    ) -> None:
        await (await uploader.upload_file(written(tmp_path / "f"), app_name="feedback"))
        await (await uploader.upload_file(written(tmp_path / "f"), "g", "feedback"))

        assert set(await holdings()) == {"feedback/f", "feedback/g"}

    async def test_upload_file_before_initialize(self, blob: Blob, tmp_path: Path) -> None:
        with pytest.raises(UploaderClosedError, match="initialize"):
            await uploader_to(blob).upload_file(written(tmp_path / "f"))

        assert requests(blob) == {}


class TestAsyncBlobStorageUploaderUploadFileToBlob:
    async def test_upload_to_blob_success(
        self, uploader: AsyncBlobStorageUploader, far_end: ContainerClient, tmp_path: Path
    ) -> None:
        await uploader.put(written(tmp_path / "f"), "f")

        properties = await far_end.get_blob_client("f").get_blob_properties()
        assert properties.size == 7
        assert properties.metadata == {"sha256": sha256(b"content"), "length": "7"}

    async def test_upload_to_blob_retry_then_success(
        self, front: "Front", holdings: "Holdings", tmp_path: Path
    ) -> None:
        front.fail(500, "InternalError", times=2)

        async with uploader_to(front) as uploader:
            outcome = await (await uploader.upload_file(written(tmp_path / "f")))

        assert isinstance(outcome, Created)
        assert (len(front.asked), uploader.statistics().retries) == (3, 2)
        assert await holdings() == {"f": sha256(b"content")}

    async def test_upload_to_blob_max_retries_exceeded(
        self, front: "Front", holdings: "Holdings", tmp_path: Path
    ) -> None:
        front.break_down(500, "InternalError")
        path = written(tmp_path / "f")

        async with uploader_to(front, max_retries=3, delete_after_upload=True) as uploader:
            with pytest.raises(UnavailableError, match="InternalError"):
                await (await uploader.upload_file(path))

        assert len(front.asked) == 4
        assert await holdings() == {}
        assert path.exists()

    async def test_upload_to_blob_wrong_size(self, front: "Front", holdings: "Holdings", tmp_path: Path) -> None:
        """A file that has another size by the time it is read is not sent."""
        path = written(tmp_path / "f")
        front.break_down(403, "AuthorizationPermissionMismatch")

        async with uploader_to(front, retry_delay=0.5) as uploader:
            handle = await uploader.upload_file(path)
            await at_rest(uploader)
            with path.open("ab") as writer:
                writer.write(b", and more")
            front.mend()
            with pytest.raises(UploadError, match="7 bytes then") as failure:
                await handle

        assert failure.value.permanent
        assert await holdings() == {}


class TestAsyncBlobStorageUploaderUploadWorker:
    async def test_upload_worker_processes_queue(
        self, uploader: AsyncBlobStorageUploader, holdings: "Holdings", tmp_path: Path
    ) -> None:
        contents = {f"f{n}": os.urandom(n) for n in range(60)}

        handles = [await uploader.upload_file(written(tmp_path / name, content)) for name, content in contents.items()]
        outcomes = [await handle for handle in handles]

        assert [outcome.blob_name for outcome in outcomes] == list(contents)
        assert await holdings() == {name: sha256(content) for name, content in contents.items()}

    async def test_upload_worker_goes_on_after_a_failure(
        self, front: "Front", holdings: "Holdings", tmp_path: Path
    ) -> None:
        front.fail(400, "InvalidUri")

        async with uploader_to(front, max_concurrency=1) as uploader:
            refused, *rest = [await uploader.upload_file(written(tmp_path / f"f{n}")) for n in range(5)]
            with pytest.raises(UploadError, match="InvalidUri"):
                await refused
            for handle in rest:
                await handle

        assert set(await holdings()) == {"f1", "f2", "f3", "f4"}
        assert (uploader.statistics().failed, uploader.statistics().created) == (1, 4)

    async def test_upload_worker_survives_a_fault_of_its_own(
        self,
        uploader: AsyncBlobStorageUploader,
        holdings: "Holdings",
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        read = _reading.read_whole

        def read_but_one(path: Path, *args: Any, **options: Any) -> Any:
            return read(path, *args, **options) if path.name != "f2" else 1 // 0

        monkeypatch.setattr(_sending, "read_whole", read_but_one)
        handles = [await uploader.upload_file(written(tmp_path / f"f{n}")) for n in range(5)]
        outcomes = await asyncio.gather(*handles, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [Created, Created, ZeroDivisionError, Created, Created]
        assert set(await holdings()) == {"f0", "f1", "f3", "f4"}
        assert "a fault of the uploader" in caplog.text


class TestAsyncBlobStorageUploaderShutdown:
    async def test_shutdown_with_pending_uploads(self, blob: Blob, holdings: "Holdings", tmp_path: Path) -> None:
        uploader = uploader_to(blob, max_concurrency=2)
        await uploader.initialize()
        for n in range(40):
            await uploader.upload_file(written(tmp_path / f"f{n}"))

        left = await uploader.shutdown(drain=None)

        assert left == []
        assert len(await holdings()) == 40
        assert await uploader.shutdown() == []

    async def test_shutdown_timeout(self, front: "Front", tmp_path: Path) -> None:
        front.break_down(503, "ServerBusy")
        paths = [written(tmp_path / f"f{n}") for n in range(3)]
        uploader = uploader_to(front, retry_delay=60, delete_after_upload=True)
        await uploader.initialize()
        handles = [await uploader.upload_file(path) for path in paths]

        left = await uploader.shutdown(drain=0.2)

        assert sorted(left) == paths
        assert all(path.exists() for path in paths)
        for handle in handles:
            with pytest.raises(NotUploadedError):
                await handle

    async def test_shutdown_cancels_what_runs(self, blob: Blob, tmp_path: Path) -> None:
        """An upload in the middle of its transfer ends at once and leaves nothing open."""
        reached = asyncio.Event()

        async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reached.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silence, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        silent = blob.connection_string.replace(str(blob.account_url.split(":")[2].split("/")[0]), str(port))
        uploader = uploader_to(blob, connection_string=silent)
        await uploader.initialize()
        handle = await uploader.upload_file(written(tmp_path / "f"))
        await asyncio.wait_for(reached.wait(), 10)

        async with asyncio.timeout(5):
            assert await uploader.shutdown(drain=0) == [tmp_path / "f"]

        with pytest.raises(NotUploadedError):
            await handle
        server.close()
        async with asyncio.timeout(5):
            await server.wait_closed()


class TestAsyncBlobStorageUploaderIntegration:
    async def test_full_upload_lifecycle(self, blob: Blob, holdings: "Holdings", tmp_path: Path) -> None:
        contents = {"a.log": b"a" * 10, "b.log": b"", "c.log": os.urandom(5 * MIB)}
        uploader = uploader_to(blob, delete_after_upload=True)

        await uploader.initialize()
        for name, content in contents.items():
            await uploader.upload_file(written(tmp_path / name, content), app_name="app")
        assert await uploader.shutdown(drain=None) == []

        assert await holdings() == {f"app/{name}": sha256(content) for name, content in contents.items()}
        assert not [name for name in contents if (tmp_path / name).exists()]
        statistics = uploader.statistics()
        assert (statistics.created, statistics.deleted, statistics.failed) == (3, 3, 0)
        assert statistics.uploaded_bytes == sum(map(len, contents.values()))

    async def test_a_second_lifecycle(self, blob: Blob, holdings: "Holdings", tmp_path: Path) -> None:
        uploader = uploader_to(blob)
        for name in ("first", "second"):
            async with uploader:
                await (await uploader.upload_file(written(tmp_path / name)))
                assert uploader.statistics().created == 1
            with pytest.raises(UploaderClosedError):
                await uploader.upload_file(tmp_path / name)

        assert set(await holdings()) == {"first", "second"}


class TestAsyncBlobStorageUploaderEdgeCases:
    async def test_concurrent_initialization_attempts(self, blob: Blob, tmp_path: Path) -> None:
        """Five attempts make one uploader: a journal would refuse a second one."""
        uploader = uploader_to(blob, journal=tmp_path / "journal")

        await asyncio.gather(*(uploader.initialize() for _ in range(5)))

        assert isinstance(await (await uploader.upload_file(written(tmp_path / "f"))), Created)
        assert await uploader.shutdown() == []

    async def test_network_connectivity_issues_during_initialization(
        self, holdings: "Holdings", blob: Blob, front: "Front", tmp_path: Path
    ) -> None:
        """A network that is down at the start delays uploads, and fails none."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            nowhere = blob.connection_string.replace(blob.account_url.rsplit("/", 1)[0], "http://127.0.0.1:%d")
            unreachable = nowhere % taken.getsockname()[1]
            async with uploader_to(front, connection_string=unreachable, max_retries=0) as uploader:
                with pytest.raises(AccountUnreachableError, match="nothing answers") as failure:
                    await uploader.put(written(tmp_path / "f"), "f")
        assert failure.value.environment

        front.cut(times=3)
        async with uploader_to(front) as uploader:
            assert isinstance(await (await uploader.upload_file(tmp_path / "f")), Created)
        assert set(await holdings()) == {"f"}

    async def test_authentication_failures_with_default_azure_credential(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A refused token is said with its remedy and retried by itself; it uses up no attempt."""
        monkeypatch.delenv("AZURE_CLIENT_ID", raising=False)
        async with LocalAzure(["in"], containers=["box"], tls=True) as azure:
            for name, value in azure.identity.environment().items():
                monkeypatch.setenv(name, value)
            azure.identity.refuse_next("blob", times=2)
            trust: dict[str, Any] = {"connection_verify": str(azure.ca_file)}
            async with AsyncBlobStorageUploader(
                azure.blob.account_url, "box", max_retries=0, retry_delay=0.01, client_options=trust
            ) as uploader:
                with pytest.raises(AccessDeniedError, match="tenant, audience or service") as failure:
                    await uploader.put(written(tmp_path / "f"), "f")
                outcome = await (await uploader.upload_file(tmp_path / "f"))

        assert failure.value.environment
        assert isinstance(outcome, Created)
        assert uploader.statistics().failed == 0

    async def test_upload_empty_file(
        self, uploader: AsyncBlobStorageUploader, holdings: "Holdings", tmp_path: Path
    ) -> None:
        path = written(tmp_path / "empty", b"")

        direct = await uploader.put(path, "direct")
        queued = await (await uploader.upload_file(path))

        assert (direct.length, queued.length) == (0, 0)
        assert await holdings() == {"direct": sha256(b""), "empty": sha256(b"")}

    async def test_file_deleted_between_queue_and_upload(
        self, front: "Front", holdings: "Holdings", tmp_path: Path
    ) -> None:
        front.break_down(403, "AuthorizationPermissionMismatch")
        paths = [written(tmp_path / f"f{n}") for n in range(10)]

        async with uploader_to(front, retry_delay=0.5) as uploader:
            handles = [await uploader.upload_file(path) for path in paths]
            await at_rest(uploader)
            for path in paths[::2]:
                path.unlink()
            front.mend()
            outcomes = await asyncio.gather(*handles, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [FileVanishedError, Created] * 5
        assert set(await holdings()) == {f"f{n}" for n in range(1, 10, 2)}
        assert uploader.statistics().retries == 0, "what is gone does not come back"

    @pytest.mark.parametrize("url", ["not a url", "ftp://acc.blob.core.windows.net", "https://", "My_Account", "//x"])
    def test_invalid_account_url_formats(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"account_url \(AZURE_STORAGE_ACCOUNT\)") as refusal:
            AsyncBlobStorageUploader(url, "box")

        assert url not in str(refusal.value)

    @pytest.mark.parametrize(
        ("status", "code", "hint"),
        [
            (403, "AuthorizationPermissionMismatch", "Storage Blob Data Contributor"),
            (403, "InsufficientAccountPermissions", "does not cover this"),
            (403, "AuthorizationFailure", "firewall"),
            (401, "InvalidAuthenticationInfo", "check the credential"),
        ],
    )
    async def test_container_creation_permission_failures(
        self, front: "Front", tmp_path: Path, status: int, code: str, hint: str
    ) -> None:
        """They surface with their remedy, and the upload goes on once the right is there."""
        front.break_down(status, code, query="restype=container")

        async with uploader_to(front, container_name="fresh", create_container=True, max_retries=0) as uploader:
            with pytest.raises(AccessDeniedError, match="Creating the container fresh") as failure:
                await uploader.put(written(tmp_path / "f"), "f")
            handle = await uploader.upload_file(tmp_path / "f")
            await until(lambda: uploader.statistics().paused is not None)
            front.mend()
            assert isinstance(await handle, Created)

        assert hint in str(failure.value)

    async def test_service_throttling_responses(self, front: "Front", holdings: "Holdings", tmp_path: Path) -> None:
        """Throttling is outlasted in the time the service asks for, and no more."""
        front.fail(429, times=3)
        front.fail(503, "ServerBusy", times=3)
        front.fail(503, "ServerBusy", Retry_After="0.3")
        began = time.monotonic()

        async with uploader_to(front, max_concurrency=1) as uploader:
            outcome = await (await uploader.upload_file(written(tmp_path / "f")))

        assert isinstance(outcome, Created)
        assert front.asked[-1] - front.asked[-2] >= 0.3
        assert uploader.statistics().retries == 7
        assert time.monotonic() - began < 10, "the predecessor took half a minute"
        assert set(await holdings()) == {"f"}

    @pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
    async def test_very_large_files_memory(self, tmp_path: Path) -> None:
        """Files of 100 MB and more pass through a few MiB of memory."""
        with (tmp_path / "large").open("wb") as file:
            file.truncate(160 * MIB)
        async with Blob(containers=["box"], directory=tmp_path / "account") as blob:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", GROWTH, blob.connection_string, str(tmp_path / "large"), stdout=-1
            )
            async with asyncio.timeout(120):
                output, _ = await process.communicate()
            async with BlobServiceClient.from_connection_string(blob.connection_string) as service:
                properties = await service.get_blob_client("box", "large-1").get_blob_properties()

        assert process.returncode == 0
        assert int(output) < 40 * MIB
        assert properties.size == 160 * MIB

    async def test_queue_overflow_thousands_pending_uploads(
        self, front: "Front", holdings: "Holdings", tmp_path: Path
    ) -> None:
        """Ten producers queue 5,000 files while nothing gets through; most are gone by the time it does."""
        front.break_down(403, "AuthorizationPermissionMismatch")
        paths = [written(tmp_path / f"f{n}", str(n).encode()) for n in range(5000)]

        async with uploader_to(front, retry_delay=0.5, max_concurrency=32) as started:

            async def produce(share: list[Path]) -> list[Any]:
                return [await started.upload_file(path) for path in share]

            shares = await asyncio.gather(*(produce(paths[start::10]) for start in range(10)))
            pending = started.statistics()
            assert pending.waiting + pending.running == 5000
            await at_rest(started)
            for path in paths[150:]:
                path.unlink()
            front.mend()
            outcomes = await asyncio.gather(*(handle for share in shares for handle in share), return_exceptions=True)

        assert sum(isinstance(outcome, Created) for outcome in outcomes) == 150
        assert sum(isinstance(outcome, FileVanishedError) for outcome in outcomes) == 4850
        assert await holdings() == {f"f{n}": sha256(str(n).encode()) for n in range(150)}


GROWTH = """
import asyncio, resource, sys
from penstock_blob_uploader import AsyncBlobStorageUploader


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def main(connection_string, large):
    async with AsyncBlobStorageUploader(None, "box", connection_string=connection_string) as uploader:
        await uploader.put(__file__ if "__file__" in globals() else sys.executable, "small")
        before = peak()
        for n in range(2):
            await uploader.put(large, f"large-{n}")
        print(peak() - before)


asyncio.run(main(*sys.argv[1:]))
"""
