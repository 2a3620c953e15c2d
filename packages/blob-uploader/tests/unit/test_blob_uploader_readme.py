"""The README's examples run as they are, in the order in which they stand."""

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from azure.storage.blob.aio import BlobServiceClient

from penstock_local_azure import Blob

README = Path(__file__).parents[2] / "README.md"
CONSOLE = re.findall(r"```console\n\$ (.*?)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


async def test_the_examples_do_what_they_say(
    blob: Blob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", blob.connection_string)
    monkeypatch.setenv("AZURE_STORAGE_CONTAINER", "fresh")
    (tmp_path / "report.pdf").write_bytes(b"%PDF-")
    (tmp_path / "records.jsonl").write_bytes(b"{}")
    os.utime(tmp_path / "records.jsonl", (1_795_651_199, 1_795_651_199))

    for example in EXAMPLES:
        await asyncio.to_thread(exec, compile(example, README.name, "exec"), {})

    async with BlobServiceClient.from_connection_string(blob.connection_string) as service:
        names = [name async for name in service.get_container_client("fresh").list_blob_names()]
    said = capsys.readouterr().out
    assert len(EXAMPLES) == 3
    assert names == ["2026/report.pdf", "feedback/2026/records.jsonl", "feedback/report.pdf"]
    assert "feedback/report.pdf: 5 bytes" in said
    assert "feedback/2026/records.jsonl: 2 of 2 bytes" in said
    assert "created: 1, left by the run before: 0, deleted: 1" in said


async def test_the_command_prints_what_it_says(blob: Blob, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    for name, content in {
        "reports/march.pdf": b"%PDF-",
        "reports/april.pdf": b"%PDF-",
        "notes.txt": b"Buy a hammer",
    }.items():
        (tmp_path / name).write_bytes(content)
    async with BlobServiceClient.from_connection_string(blob.connection_string) as service:
        await service.create_container("archive")
    ((command, expected),) = CONSOLE

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "penstock_blob_uploader",
        *shlex.split(command)[1:],
        cwd=tmp_path,
        env={**os.environ, "AZURE_STORAGE_CONNECTION_STRING": blob.connection_string},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()

    assert process.returncode == 0
    assert unordered(printed.decode()) == unordered(expected)


def unordered(printed: str) -> list[str]:
    """Files end in any order, and after any time."""
    return sorted(re.sub(r"in \d+\.\d s", "in … s", printed).splitlines())
