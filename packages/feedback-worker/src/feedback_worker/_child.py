"""One child process: started in a session of its own, held by a lifeline, ended in two steps."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

from feedback_worker._errors import EXIT_USAGE, RunError, UsageError


class Child:
    """A `python -m module …` of ours.

    Its standard input is its lifeline: it ends when we are gone. In a session of its own, a Ctrl-C in the terminal
    reaches us alone, so that we decide in which order the children stop.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(cls, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Self:
        """Start `python -m module arguments`; `name` is what a person calls it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return cls(name, process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status; negative: the signal that killed it; None: it runs."""
        return self._process.returncode

    async def ready(self, within: float) -> dict[str, Any]:
        """Read the JSON line with which the process says it is ready.

        Raises:
            UsageError: It refused its arguments or settings, and has said why, in the line or on standard error.
            RunError: It ended, or said nothing `within` seconds.
        """
        try:
            line = await asyncio.wait_for(self._read_line(), within)
        except TimeoutError:
            raise RunError(f"{self.name} was not ready within {within:.0f} s.") from None
        if line:
            return _told(json.loads(line))
        if await self.wait() == EXIT_USAGE:
            raise UsageError(f"{self.name} did not start, for the reason it gives above.")
        raise RunError(f"{self.name} ended with status {self.returncode} before it was ready.")

    async def answer(self) -> dict[str, Any]:
        """Wait for the end of the process and read the JSON object it has printed.

        Raises:
            RunError: It failed, and has said why on standard error.
        """
        printed, _ = await self._process.communicate()
        if self.returncode != 0:
            raise RunError(f"{self.name} ended with status {self.returncode}; see its words above.")
        return dict(json.loads(printed))

    async def wait(self) -> int:
        """Wait for the end of the process and return its exit status."""
        return await self._process.wait()

    async def stop(self, within: float) -> int:
        """Ask the process to end; kill it if it has not `within` seconds; return its exit status."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.wait(), within)
        except TimeoutError:
            self._process.kill()
            return await self.wait()

    async def _read_line(self) -> bytes:
        """Read one line of what the process prints."""
        assert self._process.stdout is not None  # noqa: S101 - piped above
        return await self._process.stdout.readline()


def _told(line: dict[str, Any]) -> dict[str, Any]:
    """Return what a process says of itself, unless it says what is wrong."""
    if "error" in line:
        raise UsageError(line["error"])
    return line


def inherited_environment(without: Sequence[str]) -> dict[str, str]:
    """Copy our own environment, without some variables."""
    return {name: value for name, value in os.environ.items() if name not in without}
