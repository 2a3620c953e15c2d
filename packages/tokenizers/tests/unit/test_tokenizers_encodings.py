"""Encodings are tiktoken's own, built once, from the files of this package, with no network and no environment."""

import hashlib
import importlib
import lzma
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from penstock_tokenizers import VocabularyError, _encodings, _vocabulary, encoding_for

NAMES = sorted(_encodings.DEFINITIONS)


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what other tests have loaded."""
    monkeypatch.setattr(_encodings, "_loaded", {})


@pytest.mark.parametrize("name", NAMES)
def test_an_encoding_is_defined_as_tiktoken_defines_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected_digest = None

    def instead_of_downloading(_url: str, expected_hash: str) -> dict[bytes, int]:
        nonlocal expected_digest
        expected_digest = expected_hash
        return {}

    tiktokens_own = importlib.import_module("tiktoken_ext.openai_public")
    monkeypatch.setattr(tiktokens_own, "load_tiktoken_bpe", instead_of_downloading)
    theirs = tiktokens_own.ENCODING_CONSTRUCTORS[name]()
    ours = _encodings.DEFINITIONS[name]
    assert ours.pattern == theirs["pat_str"]
    assert ours.special_tokens == theirs["special_tokens"]
    assert ours.sha256 == expected_digest


@pytest.mark.parametrize("name", NAMES)
def test_text_survives_the_round_trip_through_the_shipped_vocabulary(name: str) -> None:
    encoding = encoding_for(name)
    text = "Grüße, 世界! naïve — 12345 don't \n\n\t<|endoftext|> 🎈"
    assert encoding.decode(encoding.encode_ordinary(text)) == text


def test_known_token_ids_are_those_openai_publishes() -> None:
    assert encoding_for("cl100k_base").encode_ordinary("hello world") == [15339, 1917]
    assert encoding_for("o200k_base").encode_ordinary("hello world") == [24912, 2375]


@pytest.mark.usefixtures("unloaded")
def test_loading_uses_neither_network_nor_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    before = dict(os.environ)
    assert encoding_for("gpt-4o").name == "o200k_base"
    assert dict(os.environ) == before


@pytest.mark.usefixtures("unloaded")
def test_threads_that_ask_together_share_one_build() -> None:
    with ThreadPoolExecutor(8) as threads:
        loaded = list(threads.map(encoding_for, ["cl100k_base"] * 8))
    assert all(encoding is loaded[0] for encoding in loaded)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("content", "complaint"),
    [(lzma.compress(b"IQ== 0\n"), "not the published file"), (b"no xz", "cannot be read"), (None, "cannot be read")],
)
def test_a_damaged_or_missing_vocabulary_is_refused(
    content: bytes | None, complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    if content is not None:
        (tmp_path / "data" / "o200k_base.tiktoken.xz").write_bytes(content)
    monkeypatch.setattr(_vocabulary, "files", lambda _package: tmp_path)
    with pytest.raises(VocabularyError, match=complaint) as caught:
        encoding_for("o200k_base")
    assert caught.value.permanent
    assert not caught.value.environment


def test_a_test_that_reaches_for_the_network_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"a test reached for 192\.0\.2\.1"), socket.socket() as reaching:
        reaching.connect(("192.0.2.1", 443))
    with pytest.raises(AssertionError, match="a test reached for openaipublic"):
        socket.getaddrinfo("openaipublic.blob.core.windows.net", 443)


def test_source_and_licence_lie_beside_the_data() -> None:
    data = Path(_vocabulary.__file__).parent / "data"
    source = (data / "SOURCE.md").read_text()
    assert "MIT License" in (data / "LICENSE").read_text()
    for name in NAMES:
        content = lzma.decompress((data / f"{name}.tiktoken.xz").read_bytes())
        assert hashlib.sha256(content).hexdigest() in source
