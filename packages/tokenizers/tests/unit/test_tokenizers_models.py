"""Which encoding a name leads to: mapping, encoding, model family, and the fallback that says so once."""

import logging

import pytest

from penstock_tokenizers import _models, encoding_for, encoding_name_for


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("o200k_base", "o200k_base"),
        ("cl100k_base", "cl100k_base"),
        ("gpt-4o", "o200k_base"),
        ("GPT-4o-Mini", "o200k_base"),
        ("gpt-4o-2024-11-20", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-5.1-chat", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("o4-mini", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo-2024-04-09", "cl100k_base"),
        ("gpt-35-turbo-16k", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("text-embedding-3-large", "cl100k_base"),
        ("team-a-gpt-4o-mini", "o200k_base"),
        ("prod_gpt-4_eu", "cl100k_base"),
        ("gpt-4-or-gpt-4.1", "o200k_base"),
    ],
)
def test_a_name_that_says_its_model_needs_no_mapping(
    name: str, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert encoding_for(name).name == encoding
    assert not caplog.records


def test_a_mapping_wins_and_may_name_a_model_or_an_encoding() -> None:
    mapping = {"Summaries": "gpt-4o", "gpt-4o": "cl100k_base"}
    assert encoding_for("summaries", mapping).name == "o200k_base"
    assert encoding_for("gpt-4o", mapping).name == "cl100k_base"


def test_a_mapping_to_nothing_known_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"mapping gives 'summaries' the value 'gemma'"):
        encoding_for("summaries", {"summaries": "gemma"})


@pytest.mark.parametrize("name", ["chat-prod", "pro1", "text-davinci-003"])
def test_a_name_that_says_nothing_counts_with_the_newest_encoding_and_warns_once(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_models, "_warned", set())
    with caplog.at_level(logging.WARNING):
        assert [encoding_for(name).name for _ in range(3)] == ["o200k_base"] * 3
    (record,) = caplog.records
    assert name in record.getMessage()


def test_who_had_rather_not_guess_asks_for_the_name_and_hears_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert encoding_name_for("Team-A-GPT-4o") == "o200k_base"
    assert encoding_name_for("chat-prod", {"chat-prod": "gpt-4"}) == "cl100k_base"
    assert encoding_name_for("chat-prod") is None
    assert not caplog.records


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_name_is_refused(blank: str) -> None:
    with pytest.raises(ValueError, match="model_or_deployment"):
        encoding_for(blank)


def test_no_name_at_all_is_refused() -> None:
    with pytest.raises(TypeError, match="model_or_deployment must be a string, not NoneType"):
        encoding_for(None)  # type: ignore[arg-type]
