"""The vocabulary files: read from package data, proved by SHA-256, never fetched."""

import hashlib
import lzma
from binascii import a2b_base64
from importlib.resources import files


class VocabularyError(Exception):
    """Raised when a vocabulary file of this package is missing or not the one its name promises."""

    permanent = True
    retry_after: float | None = None
    environment = False


def mergeable_ranks(name: str, sha256: str) -> dict[bytes, int]:
    """Read the byte-pair ranks of one shipped vocabulary.

    Args:
        name: the vocabulary's name, for example ``o200k_base``.
        sha256: digest (hex) of the decompressed file, as tiktoken itself expects it.

    Raises:
        VocabularyError: the file is missing, cannot be decompressed or has another digest.
    """
    return _parse(_verified(name, sha256))


def _verified(name: str, sha256: str) -> bytes:
    """Decompress the file and compare its digest."""
    resource = files("penstock_tokenizers") / "data" / f"{name}.tiktoken.xz"
    try:
        content = lzma.decompress(resource.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise VocabularyError(f"vocabulary {name} cannot be read; reinstall penstock-tokenizers") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise VocabularyError(f"vocabulary {name} is not the published file; reinstall penstock-tokenizers")
    return content


def _parse(content: bytes) -> dict[bytes, int]:
    """Turn lines of ``base64 rank`` into a mapping; slicing keeps the loop over 200,000 lines in C."""
    fields = content.split()
    return dict(zip(map(a2b_base64, fields[::2]), map(int, fields[1::2]), strict=True))
