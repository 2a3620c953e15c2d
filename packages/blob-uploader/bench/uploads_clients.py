"""The clients of `uploads.py`, each in a process of its own; each uploads the files of one folder as fast as it can.

Arguments: the client's name, the sink's account URL, the kind of work (a key of `AT_ONCE`) and the folder. The client
opens, uploads one small file and prints `{"base": …}`, its resident bytes. When it is sent a line it uploads the folder
and prints `{"seconds", "peak", "lag"}`: peak resident bytes, and the longest time in ms for which the loop was held up.

All of them take a file's SHA-256 and state it in the blob's metadata, create and never overwrite, and send an MD5 of
what goes in one request, for the service to check; obstore has no way to send one. How many are in flight at once is
what was best for these sizes: 32 small files, 8 of megabytes, 4 blocks of a large one.

- ours: the README; 8 tasks hand over the files and await the outcomes.
- hand-tuned: one `ContainerClient` for all, single requests and blocks of 4 MiB (Microsoft's "Performance tuning for
  uploads and downloads with Python"), files read and hashed in threads; for a large file `stage_block` by hand, so that
  it is hashed as it is sent, which `upload_blob` cannot do.
- obstore ("Put", "Attributes"): `put_async` of a path, `mode="create"`; its own blocks for a large file.
"""

# ruff: noqa: ASYNC240, PLC0415  a size is known at once; each library is there in its client's own environment only

import asyncio
import hashlib
import json
import resource
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

KEY = b64encode(b"k" * 64).decode()
CONTAINER = "box"
MIB = 1024**2
BLOCK = 4 * MIB
AT_ONCE = {"small": 32, "medium": 8, "large": 4, "mixed": 4}
PRODUCERS = 8
"""Tasks that hand files to ours."""
TICK = 0.001
"""Seconds between two looks at the loop."""

Upload = Callable[[Sequence[Path]], Awaitable[object]]
Put = Callable[[Path], Awaitable[object]]


def digests(path: Path) -> tuple[bytes, str, bytes]:
    """Read a file that fits one request, and hash it."""
    data = path.read_bytes()
    return data, hashlib.sha256(data).hexdigest(), hashlib.md5(data, usedforsecurity=False).digest()


def together(put: Put) -> Upload:
    """Upload all files at once; `put` sees to it that not too many are in flight."""
    return lambda paths: asyncio.gather(*map(put, paths))


async def ours(url: str, kind: str, resources: AsyncExitStack) -> Upload:
    """Upload as a user of ours does."""
    from penstock_blob_uploader import AsyncBlobStorageUploader

    at_once = max(AT_ONCE[kind], 8)
    uploader = AsyncBlobStorageUploader(url, CONTAINER, credential=KEY, max_concurrency=at_once)
    await resources.enter_async_context(uploader)

    async def produce(paths: Sequence[Path]) -> None:
        for handle in [await uploader.upload_file(path) for path in paths]:
            await handle

    return lambda paths: asyncio.gather(*(produce(paths[start::PRODUCERS]) for start in range(PRODUCERS)))


async def hand_tuned(url: str, kind: str, resources: AsyncExitStack) -> Upload:
    """Upload with the SDK alone, with all that is known to help."""
    from azure.core import MatchConditions
    from azure.storage.blob import BlobBlock, ContentSettings
    from azure.storage.blob.aio import ContainerClient

    container = ContainerClient(url, CONTAINER, credential=KEY, max_single_put_size=BLOCK, max_block_size=BLOCK)
    await resources.enter_async_context(container)
    room = asyncio.Semaphore(AT_ONCE[kind])

    async def put_whole(path: Path) -> object:
        async with room:
            data, sha256, md5 = await asyncio.to_thread(digests, path)
            settings = ContentSettings(content_md5=bytearray(md5))
            return await container.upload_blob(
                path.name, data, length=len(data), metadata={"sha256": sha256}, content_settings=settings
            )

    async def put_blocks(path: Path) -> object:
        blob, digest, names = container.get_blob_client(path.name), hashlib.sha256(), list[str]()

        def read() -> bytes:
            data = file.read(BLOCK)
            digest.update(data)
            return data

        async def stage(name: str, data: bytes) -> None:
            try:
                await blob.stage_block(name, data, length=len(data))
            finally:
                room.release()

        with path.open("rb", buffering=0) as file:
            async with asyncio.TaskGroup() as group:
                while await room.acquire() and (data := await asyncio.to_thread(read)):
                    names.append(f"{len(names):06d}")
                    group.create_task(stage(names[-1], data))
        room.release()
        blocks = [BlobBlock(block_id=name) for name in names]
        metadata = {"sha256": digest.hexdigest()}
        return await blob.commit_block_list(blocks, metadata=metadata, match_condition=MatchConditions.IfMissing)

    async def put(path: Path) -> object:
        return await (put_whole(path) if path.stat().st_size <= BLOCK else put_blocks(path))

    return together(put)


async def obstore(url: str, kind: str, _resources: AsyncExitStack) -> Upload:
    """Upload with obstore."""
    import obstore as library  # type: ignore[import-not-found]  # lives in an environment of its own
    from obstore.store import AzureStore  # type: ignore[import-not-found]  # the same

    account = url.rsplit("/", 1)[1]
    options = {"allow_http": True}
    store = AzureStore(CONTAINER, account_name=account, account_key=KEY, endpoint=url, client_options=options)
    room = asyncio.Semaphore(AT_ONCE[kind])

    def hashed(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    async def put(path: Path) -> object:
        async with room:
            attributes = {"sha256": await asyncio.to_thread(hashed, path)}
            whole = path.stat().st_size <= BLOCK
            mode = {"mode": "create"} if whole else {}  # it takes no condition beside its own blocks
            options = {"attributes": attributes, "use_multipart": not whole, **mode}
            return await library.put_async(store, path.name, path, **options)

    return together(put)


CLIENTS: dict[str, Callable[[str, str, AsyncExitStack], Awaitable[Upload]]] = {
    "ours": ours,
    "hand-tuned": hand_tuned,
    "obstore": obstore,
}


class LoopWatch:
    """Looks at the loop every millisecond, and keeps the longest time it had to wait beyond that."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._look()

    def _look(self) -> None:
        """Look, and come again."""
        now = self._loop.time()
        self.longest = max(self.longest, now - self._due)
        self._due = now + TICK
        self._handle = self._loop.call_at(self._due, self._look)

    def stop(self) -> float:
        """End; return the longest wait in ms."""
        self._handle.cancel()
        return self.longest * 1000


def resident(field: str) -> int:
    """Return resident bytes: now ("VmRSS") or at the most ("VmHWM"); elsewhere than on Linux always the most."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


async def upload_all(upload: Upload, paths: Sequence[Path]) -> dict[str, float]:
    """Upload everything, and measure."""
    watch, began, worked = LoopWatch(), time.perf_counter(), time.process_time()
    await upload(paths)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    return {"seconds": seconds, "cpu": cpu, "peak": resident("VmHWM"), "lag": watch.stop()}


async def main(name: str, url: str, kind: str, folder: str, warm_up: str) -> None:
    """Open, and measure when told to."""
    async with AsyncExitStack() as resources:
        upload = await CLIENTS[name](url, kind, resources)
        await upload([Path(warm_up)])
        print(json.dumps({"base": resident("VmRSS")}), flush=True)
        if await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await upload_all(upload, sorted(Path(folder).iterdir()))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
