"""How long answers are, and so which ``max_tokens`` is usually enough.

Azure judges a request by the ``max_tokens`` it carries, however short the answer is, so a lower one that is really
sent makes room for more requests. It is suggested to those who ask for it, by the lengths of the app's last answers.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._usage import Answer, Usage

_REMEMBERED = 500
_ENOUGH = 50
_MOST_APPS = 1000
_EVERY = 10
_MOST_TRUNCATED = 0.06
"""The share of answers cut short above which, beyond what chance makes of it, nothing is suggested: too few of them can
be asked for again."""


class Lengths:
    """The last answers of one app, in tokens."""

    def __init__(self) -> None:
        self._lengths: deque[int] = deque(maxlen=_REMEMBERED)
        self._cut: deque[bool] = deque(maxlen=_REMEMBERED)
        self._fresh = 0
        self._suggestion: int | None = None

    def add(self, usage: Usage) -> None:
        """Remember an answer; how long one that was cut short would have been is not known."""
        cut = usage.status == "truncated"
        self._cut.append(cut)
        if not cut:
            self._lengths.append(usage.completion_tokens)
        self._fresh += 1

    def enough_for(self, quantile: float) -> int | None:
        """Return a length that so large a part of the answers does not exceed; it is worked out now and then."""
        if self._fresh >= _EVERY:
            self._fresh = 0
            self._suggestion = self._work_out(quantile)
        return self._suggestion

    def _work_out(self, quantile: float) -> int | None:
        """Look at all that is remembered."""
        tolerable = _MOST_TRUNCATED * len(self._cut)
        if len(self._lengths) < _ENOUGH or sum(self._cut) > tolerable + 2 * math.sqrt(tolerable):
            return None
        ordered = sorted(self._lengths)
        return max(1, ordered[min(int(quantile * len(ordered)), len(ordered) - 1)])


class Completions:
    """Learns the lengths of answers, app by app.

    Args:
        quantile: The part of the answers that a suggestion is enough for; None suggests nothing.
    """

    def __init__(self, quantile: float | None) -> None:
        self._quantile = quantile
        self._apps: dict[str, Lengths] = {}

    def answered(self, answers: Iterable[Answer]) -> None:
        """Learn from requests that were answered; of many apps, those that came first are forgotten."""
        if self._quantile is None:
            return
        for grant, usage, _ in answers:
            app = grant.order.app
            lengths = self._apps.get(app)
            if lengths is None:
                lengths = self._apps[app] = Lengths()
                if len(self._apps) > _MOST_APPS:
                    del self._apps[next(iter(self._apps))]
            lengths.add(usage)

    def suggestion(self, app: str) -> int | None:
        """Return a ``max_tokens`` that is usually enough for an app's answers, if one is known."""
        lengths = self._apps.get(app)
        return None if lengths is None or self._quantile is None else lengths.enough_for(self._quantile)

    def suggestions(self) -> dict[str, int]:
        """Return all that are known, by app."""
        found = {app: self.suggestion(app) for app in self._apps}
        return {app: tokens for app, tokens in found.items() if tokens is not None}
