"""What the sidecar says of a directory: status, doctor, metrics."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
from contextlib import closing
from socket import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from penstock_logging_monitor import MonitorStatistics, _lock
from penstock_logging_monitor.__main__ import main
from penstock_logging_monitor._metrics import served

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Logs


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_CONNECTION_STRING", "LOGS_CONTAINER", "LOGS_DIR"):
        monkeypatch.delenv(variable, raising=False)


def run(capsys: pytest.CaptureFixture[str], command: str, logs: Logs, *more: str) -> tuple[int, dict[str, Any]]:
    status = main([command, "--logs-dir", str(logs.directory), "--json", *more])
    return status, json.loads(capsys.readouterr().out)


def findings(said: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Return what needs a remedy, by what was looked at."""
    found: dict[str, list[dict[str, str]]] = {}
    for finding in said["findings"]:
        if finding["remedy"]:
            found.setdefault(finding["check"], []).append(finding)
    return found


def all_kinds(logs: Logs) -> None:
    """Fill the directory with one file of each kind."""
    for name in ("waiting", "orphan"):
        logs.dead_writer(name, process=name)
    old = time.time() - 500
    os.utime(logs.directory / "shop-orphan.current.log", (old, old))
    (logs.directory / "nginx.log").write_text("a line\n")
    (logs.directory / "quarantine").mkdir()
    (logs.directory / "quarantine" / "bad.log").touch()
    (logs.directory / "quarantine" / "bad.log.reason.txt").touch()


def test_status_says_what_is_there_and_changes_nothing(
    logs: Logs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    all_kinds(logs)
    living = logs.dead_writer("living", process="living")
    fd = _lock.claim(living, os.O_RDONLY)
    assert fd is not None
    before = logs.names()

    status, said = run(capsys, "status", logs, "--target", str(tmp_path / "archive"))
    os.close(fd)

    assert status == 0
    assert 500 <= said.pop("oldest_unshipped_age") < 560
    sizes = [(logs.directory / f"shop-{name}.current.log").stat().st_size for name in ("waiting", "orphan")]
    assert said == {
        "v": 1,
        "directory": str(logs.directory),
        "archive": f"directory {tmp_path / 'archive'}",
        "waiting": 2,
        "waiting_bytes": sum(sizes),
        "live": 1,
        "kept": 0,
        "foreign": 1,
        "other_hosts": 0,
        "unreadable": 0,
        "quarantined": 1,
    }
    assert logs.names() == before
    assert not (tmp_path / "archive").exists()


def test_status_is_readable_and_begins_with_the_oldest_unshipped_age(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--logs-dir", str(logs.directory)]) == 0

    first, *others = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"oldest unshipped age +0(\.0)?", first)
    assert re.fullmatch(r"waiting +0", others[0])


async def test_a_survey_and_a_monitor_count_alike(logs: Logs, tmp_path: Path) -> None:
    all_kinds(logs)
    service = logs.monitor(tmp_path / "archive")
    foreseen = await service.survey()

    await service.initialize()
    await service.shutdown(drain=10)

    assert foreseen.waiting == service.statistics().created == 2
    assert (service.statistics().foreign, service.statistics().quarantined) == (foreseen.foreign, foreseen.quarantined)


def test_the_doctor_finds_nothing_where_all_is_well(
    logs: Logs, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=100, free=50))
    logs.dead_writer("a line")
    before = logs.names()

    status, said = run(capsys, "doctor", logs, "--target", str(tmp_path / "archive"))

    assert (status, findings(said)) == (0, {})
    checks = {finding["check"] for finding in said["findings"]}
    assert checks == {"directory", "filesystem", "locks", "clock", "permissions", "disk", "quarantine", "archive"}
    assert logs.names() == before
    assert list((tmp_path / "archive").iterdir()) == []


def test_the_doctor_misses_directory_and_archive(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = run(capsys, "doctor", logs)

    assert status == 1
    assert findings(said).keys() == {"directory", "archive"}
    assert "--logs-dir" in findings(said)["directory"][0]["remedy"]
    assert "AZURE_STORAGE_ACCOUNT" in findings(said)["archive"][0]["remedy"]


def test_the_doctor_names_a_shared_file_system_a_full_disk_and_a_quarantine(
    logs: Logs, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    all_kinds(logs)
    mount = SimpleNamespace(mountpoint=str(logs.directory), fstype="cifs")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [mount])  # noqa: A006, ARG005  # psutil's own name
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=100, free=1))

    status, said = run(capsys, "doctor", logs, "--target", str(tmp_path / "archive"))

    assert status == 1
    assert findings(said).keys() == {"filesystem", "disk", "quarantine"}
    assert "cifs" in findings(said)["filesystem"][0]["text"]
    assert "local disk" in findings(said)["filesystem"][0]["remedy"]


def test_the_doctor_finds_locks_that_do_not_exclude_and_clocks_that_differ(
    logs: Logs, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.directory.mkdir()
    monkeypatch.setattr(_lock, "try_lock", lambda _: True)
    real_time = time.time
    monkeypatch.setattr(time, "time", lambda: real_time() - 3600)

    status, said = run(capsys, "doctor", logs, "--target", str(tmp_path / "archive"))

    assert status == 1
    assert {"locks", "clock"} <= findings(said).keys()
    assert "+3600" in findings(said)["clock"][0]["text"]


def test_the_doctor_finds_rights_that_are_missing(
    logs: Logs, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.dead_writer("a line")

    def refuse(**_: Any) -> tuple[int, str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)

    status, said = run(capsys, "doctor", logs, "--target", str(tmp_path / "archive"))

    assert status == 1
    told = findings(said)["permissions"]
    assert [("cannot be made" in finding["text"], "cannot be read" in finding["text"]) for finding in told] == [
        (True, False),
        (False, True),
    ]


def test_the_doctor_finds_an_archive_that_cannot_be_reached_and_shows_no_secret(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.directory.mkdir()
    with closing(socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        account = f"http://127.0.0.1:{port}/acct?sp=cw&sig=CANARY"

        status = main(["doctor", "--logs-dir", str(logs.directory), "--account", account])

    output = capsys.readouterr().out
    assert status == 1
    assert "FIX  archive: container fla-logs" in output
    assert "nothing answers" in output
    assert "CANARY" not in output


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def free_port() -> int:
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_metrics_are_served_on_loopback_with_the_oldest_unshipped_age_first() -> None:
    seen = MonitorStatistics(oldest_waiting=time.time() - 500, waiting=2, created=3, conflicts=1, dropped=4)
    port = free_port()

    with served(lambda: seen, port):
        text = scrape(port)
        seen.created = 7
        later = scrape(port)

    samples = [line for line in text.splitlines() if not line.startswith("#")]
    name, value = samples[0].split()
    assert name == "penstock_logs_oldest_unshipped_age_seconds"
    assert 500 <= float(value) < 560
    assert "penstock_logs_waiting_files 2.0" in samples
    assert 'penstock_logs_uploads_total{outcome="created"} 3.0' in samples
    assert 'penstock_logs_uploads_total{outcome="conflicts"} 1.0' in samples
    assert "penstock_logs_dropped_files_total 4.0" in samples
    assert 'penstock_logs_uploads_total{outcome="created"} 7.0' in later
    with pytest.raises(urllib.error.URLError):
        scrape(port)


def test_every_count_of_a_monitor_is_a_metric() -> None:
    fields = [name for name in MonitorStatistics.__dataclass_fields__ if name != "oldest_waiting"]
    seen = MonitorStatistics(**{name: 1000 + number for number, name in enumerate(fields)})
    port = free_port()

    with served(lambda: seen, port):
        text = scrape(port)

    values = {line.split()[1] for line in text.splitlines() if not line.startswith("#")}
    assert {f"{1000.0 + number}" for number in range(len(fields))} <= values


def test_a_port_that_is_taken_is_told_in_one_sentence(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        status = main(["run", "--logs-dir", str(logs.directory), "--metrics", str(taken.getsockname()[1])])

    assert status == 2
    assert "in use" in capsys.readouterr().err
