"""One run of the command: hand over every file, follow each to its end, and decide when it is over."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from penstock_blob_uploader._display import Display
from penstock_blob_uploader._errors import NotUploadedError, UploaderClosedError, UploadError
from penstock_blob_uploader._found_files import Found, Unusable
from penstock_blob_uploader._run_report import Ended, Summary
from penstock_blob_uploader._uploader import AsyncBlobStorageUploader

ALL_THERE, SOME_FAILED, SETUP_BROKEN = 0, 1, 3
"""Exit statuses, beside the 2 of a wrong call and those of signals."""

_TICK = 0.2
"""Seconds between two looks at the queue."""
_PATIENCE = 60.0
"""Seconds for which a setup that worked may be broken. One that never worked is not waited for."""
_HANDING_OVER = 16
"""Files that are handed over at once."""


@dataclass(frozen=True, slots=True)
class _End:
    """Why a run is over."""

    status: int | None = None
    """None: as the files ended."""
    remedy: str | None = None


class UploadRun:
    """Brings files, and tells a display.

    Args:
        uploader: Has been initialized; it is shut down when the run is over.
        display: Is told what happens.
        clock: Seconds.
    """

    def __init__(
        self, uploader: AsyncBlobStorageUploader, display: Display, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._uploader = uploader
        self._display = display
        self._clock = clock
        self._began = clock()
        self._paused_since: float | None = None
        self._handing_over = asyncio.Semaphore(_HANDING_OVER)
        self._counts: Counter[str] = Counter()

    async def bring(
        self, found: Sequence[Found], unusable: Sequence[Unusable], stopped: "asyncio.Future[int]"
    ) -> Summary:
        """Bring all files, until they are there or have failed, the setup is broken, or ``stopped`` is set.

        Returns:
            How it ended; its exit status is the result of ``stopped`` if that was set.
        """
        self._display.begin(len(found) + len(unusable), sum(file.size for file in found))
        for thing in unusable:
            self._counts["refused" if thing.error else "skipped"] += 1
            self._display.end(
                Ended(path=thing.path, ending="failed" if thing.error else "skipped", error=thing.error), 0
            )
        following = asyncio.gather(*map(self._follow, found))
        end = await self._until_over(following, stopped)
        left = await self._uploader.shutdown(drain=0)
        await following
        summary = self._summed_up(end, len(left))
        self._display.finish(summary)
        return summary

    async def _follow(self, file: Found) -> None:
        """Hand a file over, wait for its outcome, and tell it."""
        ended = partial(Ended, path=file.path, blob_name=file.blob_name)
        try:
            async with self._handing_over:
                handle = await self._uploader.upload_file(file.path, file.blob_name)
        except UploaderClosedError:
            self._counts["not handed over"] += 1
            return self._display.end(ended(ending="left"), 0)
        except UploadError as error:
            self._counts["refused"] += 1
            return self._display.end(ended(ending="failed", error=error), file.size)
        try:
            outcome = await handle
        except NotUploadedError:
            self._display.end(ended(ending="left"), 0)
        except UploadError as error:
            self._display.end(ended(ending="failed", error=error), file.size)
        else:
            self._display.end(ended(ending=type(outcome).__name__.lower(), outcome=outcome), file.size)

    async def _until_over(self, following: "asyncio.Future[list[None]]", stopped: "asyncio.Future[int]") -> _End:
        """Look at the queue from time to time, and return why the run is over."""
        while True:
            waits = {stopped} if following.done() else {stopped, following}
            await asyncio.wait(waits, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
            now = self._uploader.statistics()
            self._display.tick(now)
            if stopped.done():
                return _End(status=stopped.result())
            if self._is_broken(now.paused, arrived=now.created + now.same + now.replaced):
                return _End(status=SETUP_BROKEN, remedy=now.paused)
            if following.done() and not now.waiting + now.running:
                return _End()

    def _is_broken(self, paused: str | None, *, arrived: int) -> bool:
        """Tell whether the setup has been broken for too long."""
        if paused is None:
            self._paused_since = None
            return False
        if self._paused_since is None:
            self._paused_since = self._clock()
        return not arrived or self._clock() - self._paused_since > _PATIENCE

    def _summed_up(self, end: _End, left_in_queue: int) -> Summary:
        """Add up what was counted here and in the queue, which knows of uploads that only a journal named."""
        queue = self._uploader.statistics()
        failed = self._counts["refused"] + queue.failed - left_in_queue
        return Summary(
            status=(SOME_FAILED if failed else ALL_THERE) if end.status is None else end.status,
            created=queue.created,
            same=queue.same,
            replaced=queue.replaced,
            failed=failed,
            left=left_in_queue + self._counts["not handed over"],
            skipped=self._counts["skipped"],
            deleted=queue.deleted,
            kept=queue.kept,
            sent_bytes=queue.uploaded_bytes,
            seconds=round(self._clock() - self._began, 3),
            remedy=end.remedy,
        )
