"""A TOML file, read field by field: whatever is wrong with it is one sentence with the file and the line."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ._usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Path = tuple[str, ...]

_T = TypeVar("_T")
_PLACE = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$")


class Table:
    """One table of a file; what nobody took by the time of `done` is refused.

    Args:
        file: The file's name, for complaints.
        path: The names that lead to the table.
        fields: What it holds.
        lines: The line on which each path begins.
    """

    def __init__(self, file: str, path: Path, fields: Mapping[str, Any], lines: Mapping[Path, int]) -> None:
        self._file = file
        self._path = path
        self._fields = fields
        self._lines = lines
        self._taken: list[str] = []

    def __contains__(self, name: str) -> bool:
        """Tell whether the table has a field."""
        return name in self._fields

    @property
    def name(self) -> str:
        """The last of the names that lead here."""
        return self._path[-1]

    def whole(self, name: str) -> int | None:
        """Return a whole number, or None if it is absent."""
        value: int | None = self._take(name, "a whole number", lambda value: type(value) is int)
        return value

    def number(self, name: str) -> float | None:
        """Return a number, or None if it is absent."""
        value: float | None = self._take(name, "a number", lambda value: type(value) in (int, float))
        return value

    def text(self, name: str) -> str | None:
        """Return a text, or None if it is absent."""
        value: str | None = self._take(name, "a text in quotes", lambda value: isinstance(value, str))
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Return a list of texts, or None if it is absent."""
        values: list[str] | None = self._take(name, 'a list of texts, as ["a", "b"]', _is_texts)
        return None if values is None else tuple(values)

    def table(self, name: str) -> Table:
        """Return a table inside this one; an empty one if it is absent."""
        fields = self._take(name, f"a table: write [{'.'.join((*self._path, name))}]", lambda v: isinstance(v, dict))
        return Table(self._file, (*self._path, name), fields or {}, self._lines)

    def tables(self, name: str) -> Iterator[Table]:
        """Go through the tables that a table inside this one holds."""
        inside = self.table(name)
        for each in inside:
            yield inside.table(each)

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the fields."""
        return iter(self._fields)

    def check(
        self, judge: Callable[..., object], *arguments: object, field: str | None = None, **named: object
    ) -> None:
        """Let a function judge a field, or the table, and say where that is if it refuses with ValueError."""
        try:
            judge(*arguments, **named)
        except ValueError as error:
            self.refuse(field, str(error))

    def build(self, make: Callable[..., _T], **fields: object) -> _T:
        """Make something of the fields that are there; a ValueError that begins with a field's name is about that."""
        try:
            return make(**{name: value for name, value in fields.items() if value is not None})
        except ValueError as error:
            self.refuse(str(error).partition(" ")[0], str(error))

    def done(self) -> None:
        """Refuse the fields that nobody took."""
        for name in self._fields:
            if name not in self._taken:
                where = f"[{'.'.join(self._path)}]" if self._path else "the file"
                self.refuse(name, f"{where} has no field {name!r}: it takes {', '.join(self._taken)}")

    def refuse(self, name: str | None, complaint: str) -> NoReturn:
        """Complain about a field; about the table if it has no such field."""
        self.refuse_at(self._path if name is None or name not in self._fields else (*self._path, name), complaint)

    def refuse_at(self, path: Path, complaint: str) -> NoReturn:
        """Complain about whatever a path leads to."""
        raise UsageError(f"{self._file}, line {self._lines.get(path, 1)}: {complaint}")

    def _take(self, name: str, kind: str, fits: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - what `fits` says
        """Return a field, if it is of a kind."""
        self._taken.append(name)
        value = self._fields.get(name)
        if value is not None and not fits(value):
            self.refuse(name, f"{name} must be {kind}")
        return value


def read_document(file: str) -> Table:
    """Read a file.

    Raises:
        UsageError: It cannot be read, or is not TOML.
    """
    try:
        with open(file, encoding="utf-8", newline="") as opened:  # noqa: PTH123 - the name is shown as it was given
            text = opened.read()
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}): name a file that can") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8: save it as such") from None
    try:
        return Table(file, (), tomllib.loads(text), _lines(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_no_toml(file, text, str(error))) from None


def _no_toml(file: str, text: str, complaint: str) -> str:
    """Say as we do it what the parser complains about: it puts the place last, and has no number for the end."""
    place = _PLACE.search(complaint)
    line = place[1] if place is not None and place[1] is not None else text.rstrip().count("\n") + 1
    return f"{file}, line {line}: this is no TOML: {_PLACE.sub('', complaint)}"


def _lines(text: str) -> dict[Path, int]:
    """Return the line on which each table and each field of a valid document begins.

    The parser tells no lines. But a statement is valid by itself exactly when it is whole, so the lines that belong to
    one are found by trying.
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    statement, first = "", 1
    for number, line in enumerate(text.split("\n"), start=1):
        statement += line + "\n"
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        paths = list(_paths(parsed))
        if statement.lstrip().startswith("["):
            table = paths[-1]
        else:
            paths = [(*table, *path) for path in paths]
        for path in paths:
            lines.setdefault(path, first)
        statement, first = "", number + 1
    return lines


def _paths(fields: Mapping[str, Any], prefix: Path = ()) -> Iterator[Path]:
    """Go through all that a table holds, from the outside in."""
    for name, value in fields.items():
        yield (*prefix, name)
        if isinstance(value, dict):
            yield from _paths(value, (*prefix, name))


def _is_texts(value: object) -> bool:
    """Tell whether something is a list of texts."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
