"""Files of the older naming, which have no header and no lock: what their names say, and what becomes of them.

``{app}-{process}.current.log`` is being written, ``{app}-{process}__{date}.log`` was rotated. Whether the writer lives
is asked of its process id, if it goes by the default name ``worker-{pid}``; ids are reused and belong to a namespace,
so files are taken only after a time in which nothing was written, and one whose writer nobody knows is never removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock_logging_monitor._names import LOG, folder_of
from penstock_logging_monitor._scan import Action, LogFacts

if TYPE_CHECKING:
    from collections.abc import Callable

ROTATED_QUIET = 30.0  # seconds since the last write, after which a rotated file is certain to be complete
CURRENT_QUIET = 600.0  # seconds since the last write, after which the current file of a dead process is taken

_NAME = re.compile(r"(?P<writer>.+?)(?:\.current|__unknown\.[0-9a-z]+|__(?P<day>\d{4}-\d\d-\d\d))\.log")
_PID = re.compile(r"(?:.+-)?worker-(\d+)")


@dataclass(frozen=True, slots=True)
class OlderName:
    """What the name of such a file says.

    Attributes:
        app: Name of the application.
        process: Name of the process.
        day: The day of a rotated file, as ``YYYY-MM-DD``; empty: a current file, or one that was set aside.
        host: The host it is on.
    """

    app: str
    process: str
    day: str = ""
    host: str = ""

    @property
    def pid(self) -> int | None:
        """The process id, where the process goes by its default name."""
        return pid_in(self.process)

    def blob_name(self, sha256: str, extension: str) -> str:
        """Return where a file belongs in the archive: its content takes the place of the header that it lacks."""
        return f"{folder_of(self.app, self.day, self.host, self.process)}/older-{sha256[:16]}{LOG}{extension}"


def pid_in(process: str) -> int | None:
    """Return the process id in ``worker-{pid}``; None for any other name."""
    match = _PID.fullmatch(process)
    return int(match[1]) if match else None


def parse_older_name(name: str, app: str) -> OlderName | None:
    """Read the file name of an application; None when it is another's, or no such name at all.

    ``shop-eu-worker-7`` is no process of ``shop``, but one of ``shop-eu``.
    """
    match = _NAME.fullmatch(name)
    if match is None or not match["writer"].startswith(f"{app}-"):
        return None
    process = match["writer"].removeprefix(f"{app}-")
    of_another_app = pid_in(process) is not None and not process.startswith("worker-")
    return None if of_another_app or not process else OlderName(app, process, match["day"] or "")


def writer_seems_alive(name: str, is_alive: Callable[[int, float | None], bool]) -> bool:
    """Say whether a file name, of whatever application, holds the id of a living process."""
    match = _NAME.fullmatch(name)
    pid = pid_in(match["writer"]) if match else None
    return pid is not None and is_alive(pid, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderRules:
    """Decides about the files of one application.

    Attributes:
        app: The application.
        process: The process whose files the monitor calls its own.
        host: This host.
        is_alive: Whether a process with this id lives; with a moment (epoch seconds): and lived then.
    """

    app: str
    process: str
    host: str
    is_alive: Callable[[int, float | None], bool]

    def parse(self, name: str) -> OlderName | None:
        """Read a file name; None when it is none of this application's."""
        return parse_older_name(name, self.app)

    def origin(self, facts: LogFacts) -> OlderName | None:
        """Return where a file comes from; the day of one that was not rotated is that of its last line."""
        older = self.parse(facts.name)
        day = f"{datetime.fromtimestamp(facts.written, tz=UTC):%Y-%m-%d}"
        return replace(older, day=older.day or day, host=self.host) if older else None

    def decide(self, older: OlderName, facts: LogFacts, *, now: float) -> Action:
        """Say what becomes of a file that nobody has locked.

        Args:
            older: What its name says.
            facts: What is seen of it.
            now: Epoch seconds.
        """
        quiet = now - facts.written
        if facts.size == 0:
            return self._decide_empty(older, quiet)
        return self._decide_rotated(older, facts, quiet) if older.day else self._decide_current(older, quiet)

    def _decide_empty(self, older: OlderName, quiet: float) -> Action:
        """Judge a file that its writer, if it lives, is about to write to."""
        if older.pid is None:
            may_be_new = older.process == self.process or quiet < ROTATED_QUIET
            return Action.LEAVE if may_be_new else Action.REMOVE
        return Action.LEAVE if self.is_alive(older.pid, None) else Action.REMOVE

    def _decide_rotated(self, older: OlderName, facts: LogFacts, quiet: float) -> Action:
        if older.process == self.process or older.pid is None:
            return Action.SHIP if quiet >= ROTATED_QUIET else Action.LEAVE
        return Action.LEAVE if self.is_alive(older.pid, facts.written) else Action.SHIP

    def _decide_current(self, older: OlderName, quiet: float) -> Action:
        if older.process == self.process or quiet < CURRENT_QUIET:
            return Action.LEAVE
        if older.pid is None:
            return Action.COPY
        return Action.LEAVE if self.is_alive(older.pid, None) else Action.SHIP
