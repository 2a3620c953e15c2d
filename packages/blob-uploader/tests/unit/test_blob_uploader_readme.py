"""The README's examples run as they are, in the order in which they stand."""

import asyncio
import os
import re
from pathlib import Path

import pytest
from azure.storage.blob.aio import BlobServiceClient

from penstock_local_azure import Blob

README = Path(__file__).parents[2] / "README.md"
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
