"""One file over the wire: in one request if it is small, else block by block. Both create and never overwrite."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobClient

from penstock_blob_uploader._client import SINGLE_PUT
from penstock_blob_uploader._comparison import compare_with_what_is_there
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._outcomes import Outcome
from penstock_blob_uploader._pieces import send_in_pieces
from penstock_blob_uploader._reading import Blocks, read_whole
from penstock_blob_uploader._reading_threads import ReadingThreads


async def send_whole(blob: BlobClient, order: Order, threads: ReadingThreads) -> Outcome:
    """Send a small file in one request; the service checks the body against its MD5.

    Raises:
        UploadError: The file, or what stands under the name.
        AzureError: Anything else the SDK met.
    """
    content = await threads.run(order.size, partial(read_whole, order.path, order.snapshot))
    try:
        await blob.upload_blob(
            content.data,
            length=order.size,
            overwrite=False,
            metadata=order.labels(content.sha256),
            content_settings=ContentSettings(content_type=order.content_type, content_md5=bytearray(content.md5)),
            raw_request_hook=send_in_pieces,
        )
    except HttpResponseError as refusal:
        return await compare_with_what_is_there(blob, order, content.sha256, refusal)
    return order.created(content.sha256)


async def send_blocks(blob: BlobClient, order: Order, threads: ReadingThreads, *, blocks_at_once: int) -> Outcome:
    """Stage a large file block by block and commit it once it is found unchanged. Raises as `send_whole`."""
    async with _opened(order) as blocks:
        staged = await _stage_all(blob, blocks, threads, blocks_at_once)
    try:
        await blob.commit_block_list(
            staged,
            content_settings=ContentSettings(content_type=order.content_type),
            metadata=order.labels(blocks.sha256),
            match_condition=MatchConditions.IfMissing,
        )
    except HttpResponseError as refusal:
        return await compare_with_what_is_there(blob, order, blocks.sha256, refusal)
    return order.created(blocks.sha256)


async def _stage_all(blob: BlobClient, blocks: Blocks, threads: ReadingThreads, at_once: int) -> list[BlobBlock]:
    """Read and send all blocks, so many at a time; when one fails, the others end with it."""
    # Ids of this attempt only: two uploaders of one name must never commit each other's blocks.
    attempt = secrets.token_hex(8)
    room = asyncio.Semaphore(at_once)
    staged: list[BlobBlock] = []

    async def stage(block_id: str, data: bytes) -> None:
        try:
            await blob.stage_block(block_id, data, length=len(data), raw_request_hook=send_in_pieces)
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as group:
            # Room is made before a block is read, so no more than ``at_once`` of them are ever in memory.
            while await room.acquire() and (data := await threads.run(SINGLE_PUT, blocks.next_block)):
                block_id = f"{attempt}-{len(staged):06d}"
                staged.append(BlobBlock(block_id=block_id))
                group.create_task(stage(block_id, data))
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return staged


@asynccontextmanager
async def _opened(order: Order) -> AsyncIterator[Blocks]:
    """Give a file to read block by block: a new one for every attempt, closed off the loop, where it is read."""
    blocks = Blocks(order.path, order.snapshot, block_size=SINGLE_PUT)
    try:
        yield blocks
    finally:
        await asyncio.to_thread(blocks.close)
