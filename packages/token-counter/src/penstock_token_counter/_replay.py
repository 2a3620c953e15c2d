"""From the bytes of a journal back to the ledgers: never less than was granted, and exactly that if nothing is torn.

A record says how a grant stands since then, so the last record of each grant is all there is to know. Everything here
is pure.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._records import read_batch, read_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock_token_client.accounting import Charge, Lesson, Pool

    from ._records import Batch, Moment


@dataclass(slots=True)
class History:
    """What a journal tells.

    Attributes:
        spans: The pools it covers, and for how many seconds each kept a charge.
        charges: How each grant stood last, by pool and id, in the order in which they were granted.
        lessons: What was learned last, by pool.
        moment: When it was last written; None if nothing was.
        damaged: Whether lines are missing before its end, so that it does not tell everything.
    """

    spans: dict[str, float] = field(default_factory=dict)
    charges: dict[str, dict[str, Charge]] = field(default_factory=dict)
    lessons: dict[str, Lesson] = field(default_factory=dict)
    moment: Moment | None = None
    damaged: bool = False

    def covers(self, pool: str, span: float) -> bool:
        """Tell whether it kept what a pool granted for a span of seconds, which is the one that is configured.

        Where a refusal widened the window since, what had left it before did not come back.
        """
        return not self.damaged and self.moment is not None and self.spans.get(pool, 0.0) >= span


def read_history(data: bytes) -> History:
    """Read a journal up to its torn end, if it has one.

    What follows the last line end was never promised to anybody. So was the last line if it is damaged; but if whole
    lines follow a damaged one, the damage came later, and took with it what had been promised.

    Raises:
        JournalError: It is no journal, or one of another version.
    """
    lines = data.split(b"\n")[:-1]
    if not lines:
        return History()
    history = History(spans=read_header(lines.pop(0)))
    torn = False
    for line in lines:
        batch = read_batch(line)
        if batch is None:
            torn = True
        else:
            history.damaged = history.damaged or torn
            _take(history, batch)
    return history


def restore(history: History, pools: Mapping[str, Pool], now: Moment, *, assume_idle: bool = False) -> None:
    """Bring new pools to where the journal left them.

    Args:
        history: What the journal tells.
        pools: New pools by name, whose clock is the steady one of ``now``.
        now: The time.
        assume_idle: Take for granted that nothing else was sent where the journal does not tell. Otherwise the window
            of a pool that it does not cover is charged in full.
    """
    later = _shift(history.moment, now)
    for name, pool in pools.items():
        charges = [
            charge._replace(at=min(charge.at + later, now.steady)) for charge in history.charges.get(name, {}).values()
        ]
        lesson = history.lessons.get(name)
        pool.restore(
            sorted(charges, key=lambda charge: charge.at),
            None if lesson is None else _later(lesson, later),
            now.steady,
        )
        if not assume_idle and not history.covers(name, pool.ledger.limits.terms().span):
            pool.fill(now.steady)


def _take(history: History, batch: Batch) -> None:
    """Let a batch replace what was known of its grants."""
    history.moment = batch.moment
    for entry in batch.entries:
        history.charges.setdefault(entry.pool, {})[entry.charge.id] = entry.charge
    history.lessons.update(batch.lessons)


def _later(lesson: Lesson, seconds: float) -> Lesson:
    """Put the times of what was learned by so many seconds later."""
    return dataclasses.replace(
        lesson,
        tpm_until=lesson.tpm_until + seconds,
        paused_until=lesson.paused_until + seconds,
        distances=tuple((amount, since + seconds) for amount, since in lesson.distances),
        doubted_until=lesson.doubted_until + seconds,
        gone_until=lesson.gone_until + seconds,
    )


def _shift(last: Moment | None, now: Moment) -> float:
    """Return what to add to a time of the journal's steady clock to have it in seconds of ours.

    Both clocks say how long the counter was down, and the smaller answer is taken, because a charge that is thought
    too young only stays too long. The wall clock may have been set: a step back counts as no time at all. The steady
    clock starts anew with the machine: behind where it was, it says nothing.
    """
    if last is None:
        return 0.0
    down = max(0.0, now.wall - last.wall)
    if now.steady >= last.steady:
        down = min(down, now.steady - last.steady)
    return now.steady - last.steady - down
