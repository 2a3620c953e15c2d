"""Which files the paths of a command line stand for, and the name each of them gets. Everything here blocks.

A directory is walked to its end, hidden files included. Its own name is part of the names below it, as with ``cp -r``,
unless it is given as ``.`` or ends with ``/.``. Links to files are followed, links to directories are not.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from penstock_blob_uploader._errors import FileUnreadableError, InvalidBlobNameError, UploadError
from penstock_blob_uploader._naming import NameTemplate, name_from


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and the name it is to get."""

    path: Path
    blob_name: str
    size: int


@dataclass(frozen=True, slots=True)
class Unusable:
    """A path that leads to no upload; without an error, because it is not to."""

    path: Path
    error: UploadError | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A path, and where it lies below what was named."""

    path: Path
    below: PurePosixPath

    def child(self, name: str) -> "_Place":
        """Return what lies in it."""
        return _Place(self.path / name, self.below / name)


def find_files(
    paths: Sequence[str], *, prefix: str | None, template: NameTemplate | None
) -> tuple[list[Found], list[Unusable]]:
    """Return what there is to upload, in a fixed order, and what cannot be.

    Raises:
        ValueError: Two files would get the same name.
    """
    found: dict[str, Found] = {}
    unusable: list[Unusable] = []
    for place in _all_below(map(_named, paths), unusable):
        try:
            file = _file(place, prefix, template)
        except InvalidBlobNameError as error:
            unusable.append(Unusable(place.path, error))
            continue
        other = found.setdefault(file.blob_name, file)
        if other.path != file.path:
            raise ValueError(
                f"{other.path} and {file.path} would both be named {file.blob_name}: upload them one after the other, "
                "each with a --prefix or --template of its own"
            )
    return list(found.values()), unusable


def _named(path: str) -> _Place:
    """Return where a path of the command line begins."""
    content_only = path == os.curdir or path.endswith(f"/{os.curdir}")
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - without "..", but with the links it goes through
    return _Place(absolute, PurePosixPath() if content_only else PurePosixPath(absolute.name))


def _all_below(places: Iterable[_Place], unusable: list[Unusable]) -> Iterator[_Place]:
    """Walk through directories; whatever else is named or found there is taken for a file, until it is looked at."""
    for named in places:
        pending = [named]
        while pending:
            place = pending.pop()
            if _is_directory(place.path):
                if place is not named and place.path.is_symlink():
                    unusable.append(Unusable(place.path, None))
                else:
                    pending += reversed(_children(place, unusable))
            else:
                yield place


def _children(place: _Place, unusable: list[Unusable]) -> list[_Place]:
    """Return what lies in a directory, by name."""
    try:
        return [place.child(path.name) for path in sorted(place.path.iterdir())]
    except OSError as error:
        refused = FileUnreadableError(f"The directory {place.path} cannot be read: {error.strerror}.")
        unusable.append(Unusable(place.path, refused))
        return []


def _file(place: _Place, prefix: str | None, template: NameTemplate | None) -> Found:
    """Name a file; what cannot be looked at is named, too, and refused when its turn comes."""
    facts = _facts(place.path)
    size, mtime_ns = (facts.st_size, facts.st_mtime_ns) if facts else (0, 0)
    if template is not None:
        return Found(place.path, template.name_for(place.path, mtime_ns, app_name=prefix), size)
    return Found(place.path, name_from(f"{prefix or ''}/{place.below}"), size)


def _is_directory(path: Path) -> bool:
    """Tell whether a path leads to a directory."""
    facts = _facts(path)
    return facts is not None and stat.S_ISDIR(facts.st_mode)


def _facts(path: Path) -> os.stat_result | None:
    """Look at a path, if that is possible."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None
