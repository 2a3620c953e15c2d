"""How a run shows itself: a line redrawn for a person at a terminal, plain lines for a pipe, JSON for a program."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from penstock_blob_uploader._printable import printable
from penstock_blob_uploader._progress import Progress
from penstock_blob_uploader._run_report import Ended, Summary
from penstock_blob_uploader._statistics import Statistics

VERSION = 1
"""Of the JSON lines. Readers ignore kinds and fields that they do not know."""

_RATE_FROM = 1.0  # s before a rate means anything


class Display(Protocol):
    """Is told what happens."""

    def begin(self, files: int, length: int) -> None:
        """There are so many files, of so many bytes."""

    def advance(self, progress: Progress) -> None:
        """A part of a file was sent."""

    def end(self, ended: Ended, length: int) -> None:
        """It ended with a file, of so many bytes."""

    def tick(self, now: Statistics) -> None:
        """Some time has passed."""

    def finish(self, summary: Summary) -> None:
        """It ended with all."""


def display_for(stream: TextIO, *, as_json: bool) -> Display:
    """Return the display that suits whoever reads the stream."""
    if as_json:
        return JsonLines(stream)
    return RedrawnLine(stream) if stream.isatty() else PlainLines(stream)


class JsonLines:
    """One object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, files: int, length: int) -> None:
        """Say how much there is to do."""
        self._write("begin", files=files, bytes=length)

    def advance(self, progress: Progress) -> None:
        """Parts of files are not told."""

    def end(self, ended: Ended, length: int) -> None:  # noqa: ARG002 - the outcome states what was sent
        """Say how it ended with a file."""
        facts: dict[str, object] = {"path": str(ended.path), "blob": ended.blob_name, "outcome": ended.ending}
        if ended.outcome is not None:
            facts |= {"bytes": ended.outcome.length, "sha256": ended.outcome.sha256}
        if ended.error is not None:
            error = ended.error
            facts |= {"error": type(error).__name__, "message": str(error)}
            facts |= {"permanent": error.permanent, "environment": error.environment}
        self._write("file", **facts)

    def tick(self, now: Statistics) -> None:
        """Time passes without a word."""

    def finish(self, summary: Summary) -> None:
        """Say how it ended."""
        self._write("end", **{name: getattr(summary, name) for name in summary.__slots__})

    def _write(self, kind: str, **facts: object) -> None:
        """Write a line."""
        self._stream.write(json.dumps({"v": VERSION, "kind": kind, **facts}) + "\n")
        self._stream.flush()


class PlainLines:
    """A line for each file, and one for all."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, files: int, length: int) -> None:
        """Say how much there is to do."""
        self._write(f"{counted(files, 'file')}, {megabytes(length)} MB")

    def advance(self, progress: Progress) -> None:
        """Parts of files are not told."""

    def end(self, ended: Ended, length: int) -> None:
        """Say how it ended with a file."""
        said = f"{ended.ending:8}  {ended.blob_name or ended.path} ({length:,} bytes)"
        if ended.outcome is None:
            said = f"{ended.ending:8}  {ended.error or ended.path}"
        self._write(said)

    def tick(self, now: Statistics) -> None:
        """Time passes without a word."""

    def finish(self, summary: Summary) -> None:
        """Say how it ended."""
        for line in in_words(summary):
            self._write(line)

    def _write(self, line: str) -> None:
        """Write a line."""
        self._stream.write(printable(line) + "\n")
        self._stream.flush()


class RedrawnLine:
    """One line that is drawn anew, and above it whatever did not go well."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._began = clock()
        self._files = self._length = self._ended = self._done = 0
        self._under_way: dict[str, Progress] = {}

    def begin(self, files: int, length: int) -> None:
        """Take down how much there is to do."""
        self._files, self._length = files, length

    def advance(self, progress: Progress) -> None:
        """Take down how far a file is."""
        self._under_way[progress.blob_name] = progress

    def end(self, ended: Ended, length: int) -> None:
        """Take down that a file is done with; say so if it failed."""
        self._under_way.pop(ended.blob_name or "", None)
        self._ended += 1
        self._done += length
        if ended.ending in ("failed", "skipped"):
            self._put_above(f"{ended.ending:8}  {ended.error or ended.path}")

    def tick(self, now: Statistics) -> None:
        """Draw the line."""
        self._draw(f"waiting: {now.paused}" if now.paused else self._state())

    def finish(self, summary: Summary) -> None:
        """Say how it ended, in place of the line."""
        for line in in_words(summary):
            self._put_above(line)

    def _state(self) -> str:
        """Return how far all of it is, and the file in flight that has most left."""
        sent = self._done + sum(progress.sent for progress in self._under_way.values())
        seconds = self._clock() - self._began
        parts = [
            f"{self._ended} of {counted(self._files, 'file')}",
            f"{megabytes(sent)} of {megabytes(self._length)} MB",
        ]
        if sent and seconds >= _RATE_FROM:
            rate = sent / seconds
            parts += [f"{megabytes(int(rate))} MB/s", f"{in_time(max(0, self._length - sent) / rate)} left"]
        if self._under_way:
            slowest = max(self._under_way.values(), key=lambda progress: progress.length - progress.sent)
            parts.append(f"{100 * slowest.sent // max(1, slowest.length)} % of {slowest.blob_name}")
        return ", ".join(parts)

    def _draw(self, text: str) -> None:
        """Draw over the line; what does not fit is cut, because a line that wraps cannot be drawn over."""
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[K{printable(text)[:width]}")
        self._stream.flush()

    def _put_above(self, text: str) -> None:
        """Write a line that stays."""
        self._stream.write(f"\r\x1b[K{printable(text)}\n")
        self._stream.flush()


def in_words(summary: Summary) -> list[str]:
    """Return what there is to say at the end."""
    endings = ("created", "same", "replaced", "failed", "left", "skipped", "deleted")
    counts = [f"{getattr(summary, name):,} {name}" for name in endings if getattr(summary, name)]
    lines = [
        f"{', '.join(counts) or 'nothing to do'}; {megabytes(summary.sent_bytes)} MB sent in {summary.seconds:.1f} s"
    ]
    if summary.kept:
        lines.append(f"{counted(summary.kept, 'file')} arrived and could not be deleted; --verbose says why")
    if summary.left:
        lines.append("Run the same command again to bring what is left.")
    return lines


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def megabytes(length: int) -> str:
    """Return bytes as a number of MB, as precise as is of use."""
    return f"{length / 1e6:,.0f}" if length >= 100e6 else f"{length / 1e6:,.1f}"  # noqa: PLR2004 - see above


def in_time(seconds: float) -> str:
    """Return a duration as on a clock."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def remark(program: str, sentence: str) -> None:
    """Say something on standard error."""
    sys.stderr.write(f"{program}: {printable(sentence)}\n")
