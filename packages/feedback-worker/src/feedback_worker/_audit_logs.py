"""The account of log lines: what was acknowledged to the writers, held against what lies in the blobs."""

import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from azure.storage.blob.aio import BlobServiceClient

Line = tuple[str, int, int]
"""Process, start (ns), sequence: what names one log line for good."""


@dataclass
class Shipped:
    """What lies in the container."""

    files: int = 0
    lines: Counter[Line] = field(default_factory=Counter)


async def read_shipped(blobs: BlobServiceClient, container: str, app: str, writers: set[tuple[str, int]]) -> Shipped:
    """Read the shipped files of some writers, each named by process and start."""
    found = Shipped()
    async for header, lines in _files(blobs, container, f"app={app}/"):
        writer = (str(header["process"]), int(str(header["start_ns"])))
        if writer in writers:
            found.files += 1
            found.lines.update((*writer, int(json.loads(line)["sequence"])) for line in lines)
    return found


async def _files(
    blobs: BlobServiceClient, container: str, prefix: str
) -> AsyncIterator[tuple[dict[str, object], list[bytes]]]:
    """Yield the header and the lines of each shipped file."""
    client = blobs.get_container_client(container)
    async for name in client.list_blob_names(name_starts_with=prefix):
        content = await (await client.download_blob(name)).readall()
        header, *lines = gzip.decompress(content).splitlines()
        yield json.loads(header), lines


def log_facts(acknowledged: set[Line], shipped: Shipped) -> dict[str, int]:
    """Compare what was acknowledged with what was shipped."""
    return {
        "files_shipped": shipped.files,
        "lines": shipped.lines.total(),
        "missing": len(acknowledged - shipped.lines.keys()),
        "doubled": sum(times > 1 for times in shipped.lines.values()),
    }
