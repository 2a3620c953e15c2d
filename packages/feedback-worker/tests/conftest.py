"""Runs the command as a person would, in a process of its own, and looks at what it leaves behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

TIMEOUT = 240.0


class Run:
    """One run of `feedback-worker` and the processes it has started."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._folder = folder
        self._report = folder / "report.json"
        self._errors = (folder / "stderr").open("w+")
        self._output = (folder / "stdout").open("w+")
        self._process = psutil.Popen(
            [sys.executable, "-m", "feedback_worker", *arguments, "--report", str(self._report)],
            env={**os.environ, "TMPDIR": str(folder), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
        )
        self._seen: dict[int, psutil.Process] = {}

    @property
    def printed(self) -> str:
        """What it has printed for the person at the terminal."""
        return (self._folder / "stdout").read_text()

    @property
    def complaints(self) -> str:
        """What it has printed on standard error."""
        return (self._folder / "stderr").read_text()

    @property
    def lines_acknowledged(self) -> int:
        """How many log lines the workers have written: a sign of how far the run is."""
        notes = self._folder.glob("feedback-worker-*/acknowledged/*")
        return sum(len(note.read_text().split()) for note in notes)

    def children(self, module: str) -> list[psutil.Process]:
        """Its running processes of one module."""
        found = []
        for child in self._descendants():
            self._seen[child.pid] = child
            try:
                if module in child.cmdline():
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def everyone(self) -> list[psutil.Process]:
        """Its running processes that serve or work."""
        modules = ("penstock_local_azure", "penstock_token_counter", "feedback_worker._worker")
        return [child for module in modules for child in self.children(module)]

    async def until(self, condition: Callable[[], bool], within: float = 60.0) -> None:
        """Wait for a condition while the run goes on."""
        async with asyncio.timeout(within):
            while not condition():
                assert self._process.poll() is None, f"it has ended: {self.complaints}"
                await asyncio.sleep(0.05)

    async def until_there_are(self, module: str) -> list[psutil.Process]:
        """Wait until there are processes of one module, and return them."""
        found: list[psutil.Process] = []

        def look() -> bool:
            found.extend(self.children(module))
            return bool(found)

        await self.until(look)
        return found

    async def in_the_middle(self, lines: int = 40) -> None:
        """Wait until the workers are well at work."""
        await self.until(lambda: self.lines_acknowledged >= lines)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone, as a terminal does to a foreground process."""
        self._process.send_signal(number)

    async def end(self, within: float = TIMEOUT) -> int:
        """Wait for the end and return the exit status."""
        return int(await asyncio.to_thread(self._process.wait, within))

    async def facts(self, within: float = TIMEOUT) -> dict[str, Any]:
        """Wait for a good end and return the report."""
        status = await self.end(within)
        assert status == 0, f"status {status}: {self.complaints}"
        return self.report()

    def report(self) -> dict[str, Any]:
        """Read the report."""
        return dict(json.loads(self._report.read_text()))

    def still_running(self) -> list[psutil.Process]:
        """Processes seen among its children that have not ended."""
        return [child for child in self._seen.values() if child.is_running() and child.status() != "zombie"]

    def close(self) -> None:
        """End what is left, also when a test has failed."""
        for process in [*self._descendants(), self._process, *self.still_running()]:
            try:
                process.send_signal(signal.SIGCONT)
                process.kill()
            except psutil.Error:
                continue
        self._process.wait()
        self._output.close()
        self._errors.close()

    def _descendants(self) -> list[psutil.Process]:
        """Its running processes, of any module."""
        try:
            return list(self._process.children(recursive=True))
        except psutil.NoSuchProcess:
            return []


@pytest.fixture
def run_job(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start runs that are gone after the test."""
    runs: list[Run] = []

    def start(*arguments: str, environment: dict[str, str] | None = None) -> Run:
        folder = tmp_path / str(len(runs))
        folder.mkdir()
        runs.append(Run(folder, *arguments, environment=environment))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


@pytest.fixture
def counter_url() -> Iterator[str]:
    """A token counter as a process of its own."""
    command = [sys.executable, "-m", "penstock_token_counter", "--port", "0", "--tpm", "60000", "--rpm", "600"]
    command += ["--assume-idle", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as counter:
        try:
            assert counter.stdout is not None
            yield str(json.loads(counter.stdout.readline())["url"])
        finally:
            counter.terminate()
