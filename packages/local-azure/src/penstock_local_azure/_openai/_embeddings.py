"""Embeddings: vectors of unit length that derive from model and text alone, and the answer that holds them."""

from array import array
from base64 import b64encode
from hashlib import shake_256
from math import hypot
from sys import byteorder
from typing import Any, Final

from ._embedding_request import EmbeddingRequest

_MIDDLE: Final = 127.5
"""Of the values of a byte; no value is right there, so no vector is zero."""


def vector(model: str, text: str, dimensions: int) -> list[float]:
    """Return the embedding of a text; a shorter one is the beginning of a longer one, at unit length again."""
    digest = shake_256(f"{model}\n{text}".encode("utf-8", "surrogatepass")).digest(dimensions)
    length = hypot(*(byte - _MIDDLE for byte in digest))
    return [(byte - _MIDDLE) / length for byte in digest]


def embeddings_body(model: str, request: EmbeddingRequest, texts: list[str], tokens: int) -> dict[str, Any]:
    """Return the answer as the API writes it."""
    vectors = (vector(model, text, request.dimensions) for text in texts)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _base64(each) if request.base64 else each}
            for index, each in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(values: list[float]) -> str:
    """Write a vector as little-endian floats of 32 bits."""
    floats = array("f", values)
    if byteorder == "big":
        floats.byteswap()
    return b64encode(floats).decode("ascii")
