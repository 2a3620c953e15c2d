"""One file over the wire: in one request if it is small, else block by block."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobClient

from penstock_blob_uploader._client import SINGLE_PUT
from penstock_blob_uploader._compression import GROWTH, Gzipped
from penstock_blob_uploader._order import GZIP, Order
from penstock_blob_uploader._outcomes import Outcome
from penstock_blob_uploader._pieces import send_in_pieces
from penstock_blob_uploader._placing import Condition, place
from penstock_blob_uploader._progress import Meter
from penstock_blob_uploader._reading import Blocks, read_whole
from penstock_blob_uploader._reading_threads import ReadingThreads


async def send(
    blob: BlobClient, order: Order, meter: Meter, threads: ReadingThreads, *, blocks_at_once: int
) -> Outcome:
    """Make one attempt.

    Raises:
        UploadError: The file, or what stands under the name.
        AzureError: Anything else the SDK met.
    """
    if order.size <= SINGLE_PUT - (GROWTH if order.gzip else 0):
        return await _send_whole(blob, order, meter, threads)
    return await _send_blocks(blob, order, meter, threads, blocks_at_once=blocks_at_once)


async def _send_whole(blob: BlobClient, order: Order, meter: Meter, threads: ReadingThreads) -> Outcome:
    """Send a small file in one request; the service checks the body against its MD5."""
    content = await threads.run(order.size, partial(read_whole, order.path, order.snapshot, gzip=order.gzip))

    async def write(condition: Condition) -> None:
        await blob.upload_blob(
            content.data,
            length=len(content.data),
            overwrite=True,  # the condition says whether it really may
            metadata=order.labels(content.sha256),
            content_settings=_settings(order, md5=content.md5),
            raw_request_hook=send_in_pieces,
            **condition,
        )

    outcome = await place(blob, order, content.sha256, write)
    meter.add(order.size)
    return outcome


async def _send_blocks(
    blob: BlobClient, order: Order, meter: Meter, threads: ReadingThreads, *, blocks_at_once: int
) -> Outcome:
    """Stage a large file block by block and commit it once it is found unchanged."""
    async with _opened(order) as blocks:
        staged = await _stage_all(blob, blocks, meter, threads, blocks_at_once)

    async def write(condition: Condition) -> None:
        await blob.commit_block_list(
            staged, content_settings=_settings(order), metadata=order.labels(blocks.sha256), **condition
        )

    return await place(blob, order, blocks.sha256, write)


def _settings(order: Order, *, md5: bytes | None = None) -> ContentSettings:
    """Return the headers the blob is to have."""
    return ContentSettings(
        content_type=order.content_type,
        content_encoding=GZIP if order.gzip else None,
        content_md5=None if md5 is None else bytearray(md5),
    )


async def _stage_all(
    blob: BlobClient, blocks: Blocks | Gzipped, meter: Meter, threads: ReadingThreads, at_once: int
) -> list[BlobBlock]:
    """Read and send all blocks, so many at a time; when one fails, the others end with it."""
    # Ids of this attempt only: two uploaders of one name must never commit each other's blocks.
    attempt = secrets.token_hex(8)
    room = asyncio.Semaphore(at_once)
    staged: list[BlobBlock] = []
    read = 0

    async def stage(block_id: str, data: bytes, holds: int) -> None:
        try:
            await blob.stage_block(block_id, data, length=len(data), raw_request_hook=send_in_pieces)
            meter.add(holds)
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as group:
            # Room is made before a block is read, so no more than ``at_once`` of them are ever in memory.
            while await room.acquire() and (data := await threads.run(SINGLE_PUT, blocks.next_block)):
                block_id = f"{attempt}-{len(staged):06d}"
                staged.append(BlobBlock(block_id=block_id))
                holds, read = blocks.length - read, blocks.length
                group.create_task(stage(block_id, data, holds))
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return staged


@asynccontextmanager
async def _opened(order: Order) -> AsyncIterator[Blocks | Gzipped]:
    """Give a file to read block by block: a new one for every attempt, closed off the loop, where it is read."""
    blocks = Blocks(order.path, order.snapshot, block_size=SINGLE_PUT)
    try:
        yield Gzipped(blocks, block_size=SINGLE_PUT) if order.gzip else blocks
    finally:
        await asyncio.to_thread(blocks.close)
