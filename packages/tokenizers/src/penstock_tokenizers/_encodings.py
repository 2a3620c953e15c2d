"""The encodings this package ships: what defines each, and one instance of each per process."""

import threading
from dataclasses import dataclass
from typing import Final

import tiktoken

from ._vocabulary import mergeable_ranks


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What makes an encoding besides its vocabulary; the values are those of tiktoken 0.14."""

    pattern: str
    special_tokens: dict[str, int]
    sha256: str
    """Digest (hex) of the decompressed vocabulary file."""


# How o200k_base splits text: words with their leading character and English contraction, digits by three, the rest.
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_O200K_SPLITS = (
    f"{_LEAD}{_UPPER}*{_LOWER}+{_CONTRACTION}",
    f"{_LEAD}{_UPPER}+{_LOWER}*{_CONTRACTION}",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
)
_CL100K_SPLITS = (
    r"'(?i:[sdmt]|ll|ve|re)",
    r"[^\r\n\p{L}\p{N}]?+\p{L}++",
    r"\p{N}{1,3}+",
    r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
    r"\s++$",
    r"\s*[\r\n]",
    r"\s+(?!\S)",
    r"\s",
)

DEFINITIONS: Final = {
    "o200k_base": Definition(
        pattern="|".join(_O200K_SPLITS),
        special_tokens={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k_base": Definition(
        pattern="|".join(_CL100K_SPLITS),
        special_tokens={
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}

_loaded: dict[str, tiktoken.Encoding] = {}
_loading = threading.Lock()


def load(name: str) -> tiktoken.Encoding:
    """Return the process's one instance of a shipped encoding, building it the first time.

    Building takes a few tenths of a second of CPU, so an event loop does it through ``asyncio.to_thread``.
    Threads that ask together wait for one build. Neither environment nor network is touched.
    """
    if (encoding := _loaded.get(name)) is not None:
        return encoding
    with _loading:
        if name not in _loaded:
            _loaded[name] = _build(name, DEFINITIONS[name])
        return _loaded[name]


def _build(name: str, definition: Definition) -> tiktoken.Encoding:
    """Construct the encoding directly: tiktoken's registry would look for a cache folder, then the network."""
    return tiktoken.Encoding(
        name,
        pat_str=definition.pattern,
        mergeable_ranks=mergeable_ranks(name, definition.sha256),
        special_tokens=definition.special_tokens,
    )
