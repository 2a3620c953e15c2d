"""What a monitor is to do with the files of its directory: all rules in one place, and one question to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock_logging_monitor._older import writer_seems_alive
from penstock_logging_monitor._scan import Action, decide

if TYPE_CHECKING:
    from penstock_logging_monitor._domain import LockDomain
    from penstock_logging_monitor._lease import Leases
    from penstock_logging_monitor._older import OlderRules
    from penstock_logging_monitor._scan import LogFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules for one directory.

    Attributes:
        shipping: Whether there is an archive.
        older: What becomes of files without a header.
        domain: What a free lock proves.
        leases: Signs of life of other hosts, where it proves nothing.
        retention: Seconds for which complete files stay here; None: for ever.
        max_disk: Bytes that all files together may take, at the price of the oldest; None: as many as there are.
    """

    shipping: bool
    older: OlderRules
    domain: LockDomain
    leases: Leases
    retention: float | None = None
    max_disk: int | None = None

    def judge(self, facts: LogFacts, *, now: float) -> Action:
        """Say what becomes of a file whose lock we hold.

        Args:
            facts: What is seen of it.
            now: Epoch seconds.
        """
        if facts.header and not (self.domain.covers(facts.header) or self.leases.has_ended(facts.header.boot_id)):
            return Action.AWAIT_LEASE
        action = self._judge_nameless(facts, now) if facts.header is None else decide(facts, shipping=self.shipping)
        expired = self.retention is not None and now - facts.written > self.retention
        return Action.EXPIRE if action is Action.KEEP and expired else action

    def _judge_nameless(self, facts: LogFacts, now: float) -> Action:
        """Judge a file without a header: by its name if it is of the older naming, else by nothing."""
        if self.domain.shared:
            return Action.LEAVE
        older = self.older.parse(facts.name) if facts.trouble is None else None
        action = self.older.decide(older, facts, now=now) if older else decide(facts, shipping=self.shipping)
        if action is Action.REMOVE and writer_seems_alive(facts.name, self.older.is_alive):
            return Action.LEAVE
        if self.shipping:
            return action
        return {Action.SHIP: Action.KEEP, Action.COPY: Action.LEAVE}.get(action, action)
