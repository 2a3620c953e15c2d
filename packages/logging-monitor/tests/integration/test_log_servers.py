"""Real servers, prefork and spawned, and processes of `multiprocessing`: each writes its own file, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

ASGI_APP = """
import logging, os
from penstock_logging_monitor import configure_logging

configure_logging(logs_dir="logs", app="web", console=False)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    logging.getLogger("web.page").info("served %s", scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
WSGI_APP = """
import logging, os
from penstock_logging_monitor import configure_logging

configure_logging(logs_dir="logs", app="web", console=False)

def app(environ, start_response):
    logging.getLogger("web.page").info("served %s", environ["PATH_INFO"])
    start_response("200 OK", [("content-length", "2"), ("connection", "close")])
    return [b"ok"]
"""
RUN_UVICORN = """
import sys, uvicorn
from penstock_logging_monitor import configure_logging

configure_logging(logs_dir="logs", app="web", console=False)
import page
uvicorn.run(page.app, port=int(sys.argv[1]), log_config=None, lifespan="off")
"""
SET_UP_AGAIN = """
import logging, logging.config, uvicorn.config
from penstock_logging_monitor import configure_logging

configure_logging(logs_dir="logs", app="web", process="w", console=False)
logging.info("before")
logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
logging.info("after")
"""
FAMILY = """
import logging, multiprocessing, sys
from penstock_logging_monitor import configure_logging

def work(name):
    configure_logging(logs_dir="logs", app="web", console=False)
    for number in range(50):
        logging.getLogger("web.page").info("%s %d", name, number)

if __name__ == "__main__":
    configure_logging(logs_dir="logs", app="web", console=False)
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work, args=(f"child-{n}",)) for n in range(3)]
    for child in children:
        child.start()
    work("parent")
    for child in children:
        child.join()
    sys.exit(any(child.exitcode for child in children))
"""


@contextmanager
def serving(folder: Path, *command: str, address: str) -> Iterator[str]:
    """Run a server until the end of the block, when it is told to stop; yields its address."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            (sys.executable, *command), cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_for(address, process)
            yield address
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()
            process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            get(address + "/ready")
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own server
        assert answer.read() == b"ok"


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def records(folder: Path) -> list[dict[str, Any]]:
    """Every record in the directory, with the process id in its file's header."""
    found = []
    for path in sorted((folder / "logs").glob("*.log")):
        header, *lines = map(json.loads, path.read_text().splitlines())
        found += [{**line, "pid": header["pid"]} for line in lines]
    return found


def messages(folder: Path, logger: str) -> list[str]:
    return [record["message"] for record in records(folder) if record["logger"] == logger]


PAGES = [f"/page-{number}" for number in range(30)]


def ask_for_all(address: str) -> None:
    for page in PAGES:
        get(address + page)


def check_all_are_there_once(folder: Path) -> None:
    served = [message for message in messages(folder, "web.page") if "/ready" not in message]
    assert sorted(served) == sorted(f"served {page}" for page in PAGES)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_uvicorn_with_its_own_logging_is_in_the_file_too(tmp_path: Path, workers: str) -> None:
    (tmp_path / "page.py").write_text(ASGI_APP)
    port = free_port()
    options = ("--port", port, "--workers", workers, "--lifespan", "off")
    with serving(tmp_path, "-m", "uvicorn", "page:app", *options, address=f"http://127.0.0.1:{port}") as address:
        ask_for_all(address)

    check_all_are_there_once(tmp_path)
    access = [message for message in messages(tmp_path, "uvicorn.access") if "/page-" in message]
    assert len(access) == len(set(access)) == len(PAGES)
    assert any("Finished server process" in message for message in messages(tmp_path, "uvicorn.error"))


def test_uvicorn_that_is_told_to_configure_nothing_logs_like_any_library(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(ASGI_APP)
    (tmp_path / "run.py").write_text(RUN_UVICORN)
    port = free_port()
    with serving(tmp_path, "run.py", port, address=f"http://127.0.0.1:{port}") as address:
        ask_for_all(address)

    check_all_are_there_once(tmp_path)
    assert len([message for message in messages(tmp_path, "uvicorn.access") if "/page-" in message]) == len(PAGES)


def test_a_file_is_closed_at_exit_though_a_server_has_set_up_logging_since(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(SET_UP_AGAIN)

    subprocess.run([sys.executable, "run.py"], cwd=tmp_path, check=True, timeout=60)

    assert sorted(record["message"] for record in records(tmp_path)) == ["after", "before"]
    assert not list((tmp_path / "logs").glob("*.current.log"))


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["loaded by each worker", "preloaded"])
def test_workers_of_gunicorn_write_files_of_their_own(tmp_path: Path, preload: tuple[str, ...]) -> None:
    (tmp_path / "page.py").write_text(WSGI_APP)
    bind = f"127.0.0.1:{free_port()}"
    # A worker that is told to stop before it listens to signals would take gunicorn's 30 s to do so.
    options = ("--bind", bind, "--workers", "2", "--threads", "2", "--graceful-timeout", "3", "--no-control-socket")
    with serving(
        tmp_path, "-m", "gunicorn", *options, *preload, "--access-logfile=-", "page:app", address=f"http://{bind}"
    ) as address:
        ask_for_all(address)

    check_all_are_there_once(tmp_path)
    access = [message for message in messages(tmp_path, "gunicorn.access") if "/page-" in message]
    assert len(access) == len(PAGES)


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_processes_of_multiprocessing_write_files_of_their_own(tmp_path: Path, method: str) -> None:
    (tmp_path / "family.py").write_text(FAMILY)

    subprocess.run([sys.executable, "family.py", method], cwd=tmp_path, check=True, timeout=60)

    found = records(tmp_path)
    names = ["parent", "child-0", "child-1", "child-2"]
    assert sorted(record["message"] for record in found) == sorted(f"{n} {i}" for n in names for i in range(50))
    writers = {(record["pid"], record["message"].split()[0]) for record in found}
    assert len(writers) == len({pid for pid, _ in writers}) == 4
