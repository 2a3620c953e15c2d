"""One look at the directory of log files: each file that nobody writes gets its due."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from penstock_logging_monitor._claimed import ClaimedLog
from penstock_logging_monitor._handler import files_of_this_process
from penstock_logging_monitor._listing import Entry, FairQueue, logs_oldest_first
from penstock_logging_monitor._names import is_current
from penstock_logging_monitor._quarantine import count_quarantined, put_aside
from penstock_logging_monitor._room import make_room
from penstock_logging_monitor._scan import Action, Trouble
from penstock_logging_monitor._shipper import describe
from penstock_logging_monitor._statistics import MonitorStatistics, Sight
from penstock_logging_monitor._threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from penstock_logging_monitor._header import Header
    from penstock_logging_monitor._notices import Notices
    from penstock_logging_monitor._older import OlderName
    from penstock_logging_monitor._policy import Policy
    from penstock_logging_monitor._scan import LogFacts
    from penstock_logging_monitor._shipper import Shipper

_LONGEST = 1.0  # seconds after which the directory is listed anew, however long the backlog
_DIRECTORY = "*directory"


class Pass:
    """Goes over the log files of a directory, and hands those that are complete to the shipper.

    Args:
        directory: Where the log files are.
        policy: What becomes of them.
        shipper: Who brings them to the archive; None: there is none.
        counts: Where to count.
        notices: Where to tell what somebody should hear of.
    """

    def __init__(
        self, directory: Path, policy: Policy, shipper: Shipper | None, counts: MonitorStatistics, notices: Notices
    ) -> None:
        self._directory = directory
        self._policy = policy
        self._shipper = shipper
        self._counts = counts
        self._notices = notices
        self._sight = Sight()
        self._restless = False
        self._directory_refuses = False
        self._refused = 0
        self._end = 0.0
        self.cut_short = False

    @property
    def settled(self) -> bool:
        """Whether no other process writes here, nothing moved meanwhile, and nothing that could be shipped is left."""
        shipping = self._shipper is not None and self._shipper.is_busy
        return not (shipping or self._sight.live or self._sight.waiting > self._refused or self._restless)

    async def run(self) -> None:
        """Settle every file, or as many as there is time for.

        Raises:
            OSError: The directory cannot be listed.
        """
        begun = time.monotonic()
        entries = await in_thread(logs_oldest_first, self._directory)
        self._forget_files_but({entry.name for entry in entries})
        await self._make_room(entries)
        listed = time.monotonic()
        self._end = listed + max(_LONGEST, listed - begun)  # listing must not become all that is done
        queue = FairQueue(entries)
        while entry := queue.next():
            if time.monotonic() >= self._end:
                queue.put_back(entry)
                break
            await self._attend(entry)
            await asyncio.sleep(0)  # claiming takes microseconds, but there may be thousands of files
        for entry in queue.left():
            if not is_current(entry.name):
                self._see_waiting(entry)
        self.cut_short = bool(queue.left())
        await self._report()

    def _forget_files_but(self, names: set[str]) -> None:
        self._notices.forget_files_but(names)
        if self._shipper:
            self._shipper.forget_files_but(names)

    async def _attend(self, entry: Entry) -> None:
        """Do what is due for one file; whatever is wrong with it concerns no other."""
        if self._shipper and self._shipper.is_carrying(entry.name):
            self._see_waiting(entry)
            return
        log = self._claim(entry)
        if log is None:
            return
        with contextlib.ExitStack() as lock:
            lock.enter_context(log)
            try:
                handed_over = await self._settle(log)
            except FileNotFoundError:
                self._restless = True  # another host, or somebody's hand, was faster
            except OSError as error:
                self._note_refusal(entry, error)
            except Exception as error:  # noqa: BLE001  # told and counted; the next file must get its turn
                self._note_defect(entry, error)
            else:
                if handed_over:
                    lock.pop_all()

    def _claim(self, entry: Entry) -> ClaimedLog | None:
        """Take a file, or note why it cannot be had now."""
        path = self._directory / entry.name
        try:
            log = ClaimedLog.claim(path)
            if log is None:
                self._count_live(path)
        except FileNotFoundError:
            self._restless = True  # renamed or removed since it was listed
        except OSError as error:
            self._sight.unreadable += 1
            self._notices.tell(
                entry.name,
                f"cannot open {path} ({error.strerror}), and leave it: run the monitor as the user who writes there, "
                "or give each user a directory of its own",
            )
        else:
            return log
        return None

    async def _settle(self, log: ClaimedLog) -> bool:
        """Do what is due; say whether the file and its lock now belong to the shipper."""
        action = self._judge(log.facts)
        if action is Action.ADOPT and log.facts.header:
            log.adopt(log.facts.header)
            self._counts.adopted += 1
            action = self._judge(log.facts)
        if action in (Action.SHIP, Action.COPY):
            return await self._ship(log, copying=action is Action.COPY)
        if action in (Action.REMOVE, Action.EXPIRE):
            self._remove(log, expired=action is Action.EXPIRE)
        elif action is Action.QUARANTINE and log.facts.trouble:
            self._put_aside(log, log.facts.trouble)
        elif action is Action.KEEP:
            self._sight.kept += 1
        elif action is Action.AWAIT_LEASE and log.facts.header:
            self._await_lease(log.facts.header)
        else:
            self._leave(log.facts)
        return False

    def _judge(self, facts: LogFacts) -> Action:
        return self._policy.judge(facts, now=time.time())

    async def _ship(self, log: ClaimedLog, *, copying: bool) -> bool:
        origin: Header | OlderName | None = log.facts.header or self._policy.older.origin(log.facts)
        if self._shipper is None or origin is None or (copying and self._shipper.has_copied(log)):
            self._leave(log.facts)
            return False
        self._see_waiting(Entry(log.facts.written, log.path.name, log.facts.size))
        if not self._shipper.may_try(log.path.name):
            return False
        left = self._end - time.monotonic()
        return await self._shipper.begin(log, origin, copying=copying, within=left)

    def _remove(self, log: ClaimedLog, *, expired: bool) -> None:
        log.remove()
        self._counts.expired += expired
        self._counts.removed += not expired

    def _put_aside(self, log: ClaimedLog, trouble: Trouble) -> None:
        place = put_aside(log, trouble.value)
        self._notices.say(f"put aside: {place}: {trouble.value}")

    def _await_lease(self, header: Header) -> None:
        self._sight.other_hosts += 1
        if not self._policy.leases.was_seen(header.boot_id):
            self._notices.tell(
                f"*host {header.boot_id}",
                f"{self._directory} is on {self._policy.domain.file_system}, where locks of other hosts cannot be "
                f"seen, and no monitor of host {header.host} was ever seen: run one there, its files wait for it",
            )

    def _leave(self, facts: LogFacts) -> None:
        self._sight.foreign += 1
        if facts.trouble:
            self._notices.tell(facts.name, f"leave {facts.name} alone: {facts.trouble.value}")

    def _see_waiting(self, entry: Entry) -> None:
        self._sight.see_waiting(entry.written, entry.size)
        self._refused += self._shipper is not None and self._shipper.is_refused(entry.name)

    def _count_live(self, path: Path) -> None:
        """Count a locked file, unless it is this very process that writes it and that will not wait for itself."""
        found = path.lstat()
        if (found.st_dev, found.st_ino) not in files_of_this_process():
            self._sight.live += 1

    def _note_refusal(self, entry: Entry, error: OSError) -> None:
        """Count a file that may not be renamed or removed: what refuses is the directory, so it is told once."""
        self._see_waiting(entry)
        self._counts.failed += 1
        self._directory_refuses = True
        self._notices.tell(
            _DIRECTORY,
            f"cannot rename or remove files in {self._directory}, which stay and will be tried again: "
            f"{describe(error)}: give this user the right to write there, and the disk some room",
        )

    def _note_defect(self, entry: Entry, error: Exception) -> None:
        """Count a file that there is no rule for."""
        self._see_waiting(entry)
        self._counts.failed += 1
        self._notices.tell(entry.name, f"cannot deal with {entry.name}, which stays: {describe(error)}")

    async def _make_room(self, entries: list[Entry]) -> None:
        """Keep to the size that the files may take, if there is one."""
        limit = self._policy.max_disk
        if limit is None:
            return
        copies, gone = await in_thread(make_room, self._directory, limit, entries, may_go=self._may_go)
        self._counts.expired += copies
        self._counts.dropped += len(gone)
        self._counts.dropped_bytes += sum(entry.size for entry in gone)
        if gone:
            self._notices.tell(
                "*room", f"dropped unshipped log files, as max_disk asks ({limit} bytes): the statistics count them"
            )

    def _may_go(self, facts: LogFacts) -> bool:
        """Say whether a file is complete, so that it may be removed for want of room."""
        return self._judge(facts) in (Action.SHIP, Action.KEEP)

    async def _report(self) -> None:
        self._sight.quarantined = await in_thread(count_quarantined, self._directory)
        if not self._directory_refuses:
            self._notices.ended(_DIRECTORY, f"files in {self._directory} can be renamed and removed again")
        self._counts.scans += 1
        self._counts.refused = self._refused
        self._counts.update(self._sight)
