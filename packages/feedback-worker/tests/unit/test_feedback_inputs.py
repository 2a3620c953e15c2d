"""What counts as one message, in each kind of file."""

from pathlib import Path

import pytest

from feedback_worker._errors import UsageError
from feedback_worker._inputs import MAX_TEXT_BYTES, read_inputs


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_the_messages_shipped_with_the_package_are_at_least_two_hundred_different_ones() -> None:
    inputs = read_inputs(None)

    assert len(set(inputs.texts)) == len(inputs.texts) >= 200
    assert inputs.blank == 0


def test_every_line_that_is_not_blank_is_a_message_also_when_two_are_equal(tmp_path: Path) -> None:
    path = written(tmp_path, "lines.txt", "one\n\n  \t\ntwo\r\none\nlast without end")

    inputs = read_inputs(path)

    assert inputs.texts == ["one", "two", "one", "last without end"]
    assert inputs.blank == 2


@pytest.mark.parametrize(
    "text", ["😀 👩‍👩‍👧", "שלום עולם", "a\x00b", "<|endoftext|>", '"quoted", it\'s', "x" * 20_000, "a\u2028b"]
)
def test_a_line_may_hold_anything_utf8_can_say(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, "odd.txt", f"{text}\n")

    assert read_inputs(path).texts == [text]


def test_a_byte_order_mark_belongs_to_no_message(tmp_path: Path) -> None:
    path = written(tmp_path, "bom.txt", b"\xef\xbb\xbfhello\n")

    assert read_inputs(path).texts == ["hello"]


def test_a_csv_gives_its_column_text_unless_told_otherwise(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", 'id,text,more\n1,"two\nlines",x\n2,,y\n3,"a,b",z\n')

    assert read_inputs(path).texts == ["two\nlines", "a,b"]
    assert read_inputs(path).blank == 1
    assert read_inputs(path, "more").texts == ["x", "y", "z"]


def test_a_csv_with_one_column_needs_no_choice(tmp_path: Path) -> None:
    assert read_inputs(written(tmp_path, "one.csv", "comment\nfine\n")).texts == ["fine"]


def test_jsonl_gives_strings_the_field_text_or_the_record_whole(tmp_path: Path) -> None:
    path = written(tmp_path, "records.jsonl", '"plain"\n{"text": "field"}\n\n{"stars": 5, "note": "é"}\n')

    assert read_inputs(path).texts == ["plain", "field", '{"stars": 5, "note": "é"}']
    assert read_inputs(path).blank == 1


def test_jsonl_gives_the_field_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "records.jsonl", '{"text": "no", "note": "yes"}\n{"note": 5}\n')

    assert read_inputs(path, "note").texts == ["yes", "5"]


@pytest.mark.parametrize(
    ("name", "content", "column", "words"),
    [
        ("a.pdf", "x", None, "none of .jsonl, .csv and .txt"),
        ("a.txt", b"caf\xe9\n", None, "not UTF-8 (byte 3)"),
        ("a.txt", "\n \n", None, "no text that is not blank"),
        ("a.txt", "x\n", "text", "has lines, not columns"),
        ("a.csv", "a,b\n1,2\n", None, "--column takes one of: a, b"),
        ("a.csv", "a,b\n1,2\n", "c", "no column 'c'"),
        ("a.csv", "", None, "takes one of: none"),
        ("a.jsonl", '{"text": "x"}\n{oops\n', None, "line 2 is not JSON"),
        ("a.jsonl", '{"text": "x"}\n', "note", "line 1 has no field 'note'"),
        ("a.txt", "ok\n" + "x" * MAX_TEXT_BYTES, None, "text 2 is 200002 bytes"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, column: str | None, words: str
) -> None:
    path = written(tmp_path, name, content)

    with pytest.raises(UsageError) as raised:
        read_inputs(path, column)

    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.txt: No such file or directory; give --input a readable file"):
        read_inputs(tmp_path / "nowhere.txt")
