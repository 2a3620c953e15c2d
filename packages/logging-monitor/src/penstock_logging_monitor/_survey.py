"""A look at a directory of log files that changes nothing: what a monitor would find there now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock_logging_monitor._claimed import ClaimedLog
from penstock_logging_monitor._listing import Entry, logs_oldest_first
from penstock_logging_monitor._quarantine import count_quarantined
from penstock_logging_monitor._scan import Action
from penstock_logging_monitor._statistics import Sight

if TYPE_CHECKING:
    from pathlib import Path

    from penstock_logging_monitor._policy import Policy

_WAITING = (Action.ADOPT, Action.SHIP, Action.EXPIRE, Action.QUARANTINE)


def survey(directory: Path, policy: Policy, *, now: float) -> Sight:
    """Look at every log file; each lock is held for microseconds only.

    Args:
        directory: Where they are.
        policy: What would become of them.
        now: Epoch seconds.

    Raises:
        OSError: The directory cannot be listed.
    """
    sight = Sight(quarantined=count_quarantined(directory))
    for entry in logs_oldest_first(directory):
        try:
            log = ClaimedLog.claim(directory / entry.name)
        except FileNotFoundError:  # renamed or removed since it was listed
            continue
        except OSError:
            sight.unreadable += 1
            continue
        if log is None:
            sight.live += 1
            continue
        with log:
            _count(sight, policy.judge(log.facts, now=now), entry)
    return sight


def _count(sight: Sight, action: Action, entry: Entry) -> None:
    if action in _WAITING:
        sight.see_waiting(entry.written, entry.size)
    elif action is Action.KEEP:
        sight.kept += 1
    elif action is Action.AWAIT_LEASE:
        sight.other_hosts += 1
    elif action in (Action.LEAVE, Action.COPY):
        sight.foreign += 1
