"""A counter in a process of its own, which a test can kill and start again, and which is gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from penstock_token_client import Limits

HERE = Path(__file__).parent


class KillableCounter:
    """A counter that is started again at the same address, with the same journal or store, however often it is killed.

    Args:
        directory: Its journal; None if the script takes none.
        limits: Its pool's limits.
        script: What to run.
        settings: What else the script takes.
    """

    def __init__(
        self, directory: Path | None, limits: Limits, script: str = "kept_counter.py", **settings: Any
    ) -> None:
        self.url = ""
        self._script = HERE / script
        self._settings = {"limits": dataclasses.asdict(limits), **settings}
        if directory is not None:
            self._settings["directory"] = str(directory)
        self._process: Process | None = None

    async def start(self) -> None:
        """Start a process."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(self._script), json.dumps(self._settings), stdout=asyncio.subprocess.PIPE
        )

    async def says(self, what: str, within: float = 60.0) -> str:
        """Wait for a line that begins in some way."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            while line := (await self._process.stdout.readline()).decode():
                if line.startswith(what):
                    return line.strip()
        raise AssertionError(f"the counter ended before it said {what!r}")

    async def listens(self) -> None:
        """Wait until it serves, and remember where, so that the next one serves there too."""
        self.url = await self.says("http://")
        self._settings["port"] = int(self.url.rpartition(":")[2])

    async def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()

    async def terminate(self) -> None:
        """Ask it to end in good order, and see that it does."""
        assert self._process is not None
        self._process.terminate()
        await self._process.communicate()
        assert self._process.returncode == 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serve from here on, whatever a test does to it, and be gone at the end."""
        try:
            await self.start()
            await self.listens()
            yield self
        finally:
            if self._process is not None:
                await self.kill()
