"""Bodies in files, one for each, which go when nothing uses them any more."""

from pathlib import Path
from weakref import finalize

from ._content import Content


class Bodies:
    """The files of one run.

    Args:
        folder: Where they are; made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._is_over = False

    def sweep(self, used: set[str]) -> None:
        """Remove the files that are none of these."""
        for path in self.folder.iterdir():
            if path.name not in used:
                path.unlink()

    def remove(self, name: str) -> None:
        """Remove a file that nothing uses any more; once the run is over, what is there stays."""
        if not self._is_over:
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """End the run."""
        self._is_over = True


class StoredFile:
    """A body in a file of its own, which goes when nothing refers to this object any more: no blob, block or answer.

    Args:
        bodies: The files it is one of.
        name: Its name among them.
        length: Its bytes.
    """

    def __init__(self, bodies: Bodies, name: str, length: int) -> None:
        self.name = name
        self.path = bodies.folder / name
        self._length = length
        finalize(self, bodies.remove, name).atexit = False

    def __len__(self) -> int:
        return self._length

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop`` (exclusive)."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(stop - start)


class FileWriter:
    """Writes a body to its file.

    Args:
        file: Which one; it goes again unless the content is kept.
    """

    def __init__(self, file: StoredFile) -> None:
        self._file = file
        self._open = file.path.open("wb", buffering=0)

    def write(self, piece: bytes) -> None:
        """Take in the next piece."""
        view = memoryview(piece)
        while view:
            view = view[self._open.write(view) :]

    def close(self) -> None:
        """End, whole or not."""
        self._open.close()

    def content(self) -> Content:
        """The file."""
        return Content(self._file)
