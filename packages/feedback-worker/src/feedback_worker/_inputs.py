"""Reads feedback from a file: one text a line (.txt), a row (.csv) or a record (.jsonl)."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from feedback_worker._errors import UsageError

MAX_TEXT_BYTES = 200_000
"""As JSON, escapes included; a message of the standard tier holds 256 KB with its envelope."""

csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Inputs:
    """The texts to send, in order, and how many blank ones were skipped."""

    texts: list[str]
    blank: int


def read_inputs(path: Path | None, column: str | None = None) -> Inputs:
    """Read every text of a file; blank ones are skipped and counted.

    Args:
        path: A .jsonl, .csv or .txt file in UTF-8; None reads the messages shipped with the package.
        column: The csv column or jsonl field with the text; None: "text", or the only column there is.

    Raises:
        UsageError: The file cannot be read as what its name says; the text names the line and the remedy.
    """
    source = path or Path(str(resources.files("feedback_worker") / "data" / "feedback.jsonl"))
    try:
        texts = list(_texts(source, column))
    except OSError as error:
        raise UsageError(f"Cannot read {source}: {error.strerror}; give --input a readable file.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} is not UTF-8 (byte {error.start}); convert it first.") from error
    kept = [text for text in texts if text.strip()]
    if not kept:
        raise UsageError(f"{source} holds no text that is not blank; give --input a file with feedback in it.")
    _refuse_oversized(source, kept)
    return Inputs(kept, len(texts) - len(kept))


def _texts(source: Path, column: str | None) -> Iterator[str]:
    """Yield the texts of a file by the kind its suffix names."""
    readers = {".txt": _lines, ".csv": _rows, ".jsonl": _records}
    reader = readers.get(source.suffix.lower())
    if reader is None:
        raise UsageError(f"{source} is none of .jsonl, .csv and .txt; rename or convert it.")
    yield from reader(source, column)


def _lines(source: Path, column: str | None) -> Iterator[str]:
    """Yield each line of a text file without its line end."""
    if column is not None:
        raise UsageError(f"--column says nothing about {source}: a .txt file has lines, not columns.")
    with source.open(encoding="utf-8-sig") as file:
        for line in file:
            yield line.removesuffix("\n")


def _rows(source: Path, column: str | None) -> Iterator[str]:
    """Yield one column of a csv file."""
    with source.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        try:
            name = _column_of(source, list(rows.fieldnames or ()), column)
            for row in rows:
                yield row[name] or ""
        except csv.Error as error:
            raise UsageError(f"{source}, line {rows.line_num}: {error}; mend the csv and try again.") from error


def _column_of(source: Path, names: list[str], column: str | None) -> str:
    """Choose the column: the one asked for, else "text", else the only one."""
    wanted = column or ("text" if "text" in names or len(names) != 1 else names[0])
    if wanted not in names:
        raise UsageError(f"{source} has no column {wanted!r}; --column takes one of: {', '.join(names) or 'none'}.")
    return wanted


def _records(source: Path, column: str | None) -> Iterator[str]:
    """Yield the text of each JSON record; a record without the field "text" is taken whole, as JSON."""
    with source.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                yield ""
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{source}, line {number} is not JSON; mend it and try again.") from error
            yield _text_of(source, number, record, column)


def _text_of(source: Path, number: int, record: object, column: str | None) -> str:
    """Choose the text of one record."""
    if isinstance(record, str):
        return record
    if isinstance(record, dict) and (column or "text") in record:
        value = record[column or "text"]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if column is not None:
        raise UsageError(f"{source}, line {number} has no field {column!r}; --column takes a field of every record.")
    return json.dumps(record, ensure_ascii=False)


def _refuse_oversized(source: Path, texts: list[str]) -> None:
    """Refuse a text that no message could carry, before anything is sent."""
    for number, text in enumerate(texts, 1):
        size = len(json.dumps(text))
        if size > MAX_TEXT_BYTES:
            raise UsageError(f"{source}, text {number} is {size} bytes; a message carries {MAX_TEXT_BYTES}: split it.")
