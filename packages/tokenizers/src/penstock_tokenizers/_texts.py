"""Token counts of text, and of whatever has to be written as text to be counted."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import tiktoken

_BLOCK: Final = 50_000


def count_text(encoding: tiktoken.Encoding, text: str) -> int:
    """Count the tokens of a text; markers such as ``<|endoftext|>`` in it are text, too.

    A lone surrogate, which JSON can carry but UTF-8 cannot, counts as U+FFFD, which is what arrives when it is sent.
    """
    return sum(len(encoding.encode_ordinary(piece)) for piece in _pieces(text))


def compact(value: object) -> str:
    """Serialise as JSON without spaces and escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _pieces(text: str) -> Iterator[str]:
    """Cut a text before every whole block of whitespace, so that no run of it reaches two blocks.

    tiktoken 0.14 overflows its stack, beyond what ``except Exception`` catches, on a run of a million.
    """
    whole_blocks = range(_BLOCK, len(text) - _BLOCK + 1, _BLOCK)
    cuts = [start for start in whole_blocks if text[start : start + _BLOCK].isspace()]
    return (text[start:end] for start, end in pairwise([0, *cuts, len(text)]))
