"""An uploader with a journal that 30 producers hand files to, as a process that may be killed at any time.

Its only argument is JSON: where to upload, which directory, and what it is to suffer. A producer writes the name of
each file into a file of its own once `upload_file` has returned: from then on only the journal knows of it.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from penstock_blob_uploader import AsyncBlobStorageUploader, FileVanishedError, Outcome, UploadError, _queue, _sending
from penstock_blob_uploader._intents import Queued
from penstock_blob_uploader._journal import Journal
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._put import Putter

PRODUCERS = 30

queue_module: Any = _queue
sending_module: Any = _sending


class Death:
    """Comes at the nth time somebody passes here."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


# --- Instants at which it kills itself ------------------------------------------------------------------------------


def die_when_queued(death: Death) -> None:
    """Between the journal's commit and the caller's next line."""
    add = Journal.add

    async def add_and_die(self: Journal, order: Order) -> int:
        ticket = await add(self, order)
        death()
        return ticket

    Journal.add = add_and_die  # type: ignore[method-assign]


def die_when_committed(death: Death) -> None:
    """Between the blob's commit and anything else."""
    put = Putter.put

    async def put_and_die(self: Putter, order: Order) -> Outcome:
        outcome = await put(self, order)
        death()
        return outcome

    Putter.put = put_and_die  # type: ignore[method-assign]


def die_before_deletion(death: Death) -> None:
    """Between the journal's note that the blob is there and the deletion of its file."""
    wrap_deletion(death, lambda: None)


def die_after_deletion(death: Death) -> None:
    """Between the deletion and the journal's note that all is done."""
    wrap_deletion(lambda: None, death)


def wrap_deletion(before: Callable[[], None], after: Callable[[], None]) -> None:
    delete = queue_module.delete

    def wrapped(*arguments: Any) -> None:
        before()
        delete(*arguments)
        after()

    queue_module.delete = wrapped


INSTANTS: dict[str, Callable[[Death], None]] = {
    "queued": die_when_queued,
    "committed": die_when_committed,
    "before deletion": die_before_deletion,
    "after deletion": die_after_deletion,
}


# --- Planted defects ------------------------------------------------------------------------------------------------


def delete_before_commit() -> None:
    """Delete each file when it has been read."""
    read = sending_module.read_whole

    def read_and_delete(path: Path, *arguments: Any, **options: Any) -> Any:
        content = read(path, *arguments, **options)
        path.unlink()
        return content

    sending_module.read_whole = read_and_delete


def return_before_it_is_durable() -> None:
    """Let `upload_file` return while the journal is still to be written."""

    async def add_soon(self: Journal, order: Order) -> int:
        self._last_ticket += 1
        self._note(Queued(self._last_ticket, order))
        return self._last_ticket

    Journal.add = add_soon  # type: ignore[method-assign]


def forget_before_commit() -> None:
    """Take each upload out of the journal when it begins."""
    attempt = queue_module.UploadQueue._attempt

    def forget(self: Any, job: Any) -> Awaitable[None]:
        self._keeper.finished(job.ticket)
        outcome: Awaitable[None] = attempt(self, job)
        return outcome

    queue_module.UploadQueue._attempt = forget


def believe_what_was_not_confirmed() -> None:
    """Take an upload whose answer was lost for done."""
    put = Putter.put

    async def put_and_believe(self: Putter, order: Order) -> Outcome:
        try:
            return await put(self, order)
        except UploadError:
            return order.created("")

    Putter.put = put_and_believe  # type: ignore[method-assign]


PLANTS: dict[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (
        delete_before_commit,
        return_before_it_is_durable,
        forget_before_commit,
        believe_what_was_not_confirmed,
    )
}


# --- The work -------------------------------------------------------------------------------------------------------


class Allowance:
    """So many files may be handed over; None: any number."""

    def __init__(self, files: int | None) -> None:
        self._left = files

    async def one(self) -> None:
        """Wait for ever when there is none left."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                await asyncio.Event().wait()


async def produce(
    uploader: AsyncBlobStorageUploader, number: int, directory: Path, handed_over: Path, allowance: Allowance
) -> None:
    """Hand over every thirtieth file, unless it has been."""
    mine = handed_over / f"{number:02}"
    done = set(mine.read_text().splitlines()) if mine.exists() else set()
    names = [f"f{n:05}" for n in range(number, int((directory.parent / "count").read_text()), PRODUCERS)]
    with mine.open("a", buffering=1) as acknowledged:
        for name in names:
            if name not in done:
                await allowance.one()
                with suppress(FileVanishedError):  # handed over just before a kill, and brought meanwhile
                    await uploader.upload_file(directory / name)
                acknowledged.write(f"{name}\n")


async def main(told: dict[str, Any]) -> None:
    """Hand over everything, wait for it to arrive, and end."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("azure").setLevel(logging.ERROR)
    if told["plant"]:
        PLANTS[told["plant"]]()
    if told["die"]:
        INSTANTS[told["die"]](Death(told["nth"]))
    place = Path(told["place"])
    uploader = AsyncBlobStorageUploader(
        None,
        "box",
        connection_string=told["connection_string"],
        journal=place / "journal",
        delete_after_upload=True,
        max_concurrency=32,
        retry_delay=0.2,
    )
    async with uploader:
        allowance = Allowance(told["allowance"])
        producers = (produce(uploader, n, place / "files", place / "handed-over", allowance) for n in range(PRODUCERS))
        await asyncio.gather(*producers)
        await uploader.shutdown(drain=None)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
