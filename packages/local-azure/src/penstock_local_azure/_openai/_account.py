"""One deployment's account: what arrived, what was refused, what was judged and billed."""

from dataclasses import dataclass
from typing import Any

from ._windows import MINUTE


@dataclass(frozen=True, slots=True)
class Entry:
    """One admitted request."""

    at: float
    """Seconds since the start of the run."""
    judged: int
    """Tokens the judge counted at arrival: its estimate of the prompt, and max_tokens."""
    billed: int
    """Tokens on the bill: prompt and completion."""


class Account:
    """Keeps every admitted request, so that its sums need no trust in the judge's own windows."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.rejected = 0
        self.turned_away = 0
        """Requests that got a 429 which was not the judge's."""

    def peak(self, window: float = MINUTE) -> int:
        """Return the highest sum of judged tokens over any `window` seconds; each window includes its end only."""
        highest = current = oldest = 0
        for entry in self.entries:
            current += entry.judged
            while self.entries[oldest].at <= entry.at - window:
                current -= self.entries[oldest].judged
                oldest += 1
            highest = max(highest, current)
        return highest

    def summary(self, tpm: int) -> dict[str, Any]:
        """Return the account's sums, ready for JSON."""
        return {
            "requests": len(self.entries) + self.rejected + self.turned_away,
            "http_429": self.rejected,
            "judged_tokens": sum(entry.judged for entry in self.entries),
            "billed_tokens": sum(entry.billed for entry in self.entries),
            "peak_use": self.peak() / tpm,
        }
