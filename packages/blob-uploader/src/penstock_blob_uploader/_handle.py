"""The two ends of a queued upload: the caller's, to be awaited or dropped, and the queue's, which settles it."""

import asyncio
import logging
import weakref
from collections.abc import Generator
from pathlib import Path
from typing import Any

from penstock_blob_uploader._outcomes import Outcome

_logger = logging.getLogger(__name__)


class Upload:
    """A file on its way: ``outcome = await upload``, at any time, in any number of tasks.

    Giving up waiting does not give up the upload.

    Attributes:
        path: The file.
        blob_name: The name it gets in the container.
    """

    def __init__(self, path: Path, blob_name: str, result: "asyncio.Future[Outcome]", notice: "Notice") -> None:
        self.path = path
        self.blob_name = blob_name
        self._result = result
        self._notice = notice

    def __repr__(self) -> str:
        return f"<Upload {str(self.path)!r} as {self.blob_name!r}: {'done' if self.done() else 'on its way'}>"

    def __await__(self) -> Generator[Any, None, Outcome]:
        """Wait for the outcome.

        Raises:
            UploadError: The file did not arrive; the error says what would help.
        """
        self._notice.needless()
        return asyncio.shield(self._result).__await__()

    def done(self) -> bool:
        """Tell whether the outcome is known."""
        return self._result.done()


class Notice:
    """Sees to it that a failure does not pass in silence: it is logged once, unless somebody awaits the upload."""

    def __init__(self) -> None:
        self._failure: str | None = None
        self._handles = 0
        self._given = False

    def failed(self, failure: str) -> None:
        """There is something to tell; at once if nobody is left who could await it."""
        self._failure = failure
        if not self._handles:
            self.give()

    def held(self) -> None:
        """There is one more handle."""
        self._handles += 1

    def dropped(self) -> None:
        """A handle is gone."""
        self._handles -= 1
        if not self._handles:
            self.give()

    def needless(self) -> None:
        """Somebody awaits the upload and will hear by themselves."""
        self._given = True

    def give(self) -> None:
        """Log the failure, if there is one that nobody has heard of."""
        if self._failure is not None and not self._given:
            self._given = True
            _logger.error("An upload nobody waits for failed. %s", self._failure)


class Settlement:
    """The queue's end of an `Upload`: sets its outcome, without keeping the caller's end alive."""

    def __init__(self) -> None:
        self._result: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.notice = Notice()

    def handle(self, path: Path, blob_name: str) -> Upload:
        """Make a caller's end."""
        self.notice.held()
        upload = Upload(path, blob_name, self._result, self.notice)
        # At interpreter exit loggers may be gone; whoever wants to know shuts the uploader down before.
        weakref.finalize(upload, self.notice.dropped).atexit = False
        return upload

    @property
    def settled(self) -> bool:
        """Whether the outcome is known."""
        return self._result.done()

    def succeed(self, outcome: Outcome) -> None:
        """The file arrived."""
        self._result.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """The file did not arrive."""
        self._result.set_exception(error)
        self._result.exception()  # marks it as seen: asyncio would report it a second time, without our words
        self.notice.failed(str(error))
