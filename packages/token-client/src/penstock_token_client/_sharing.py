"""How those who wait share one pool: the weight of each app, and how many of one app may wait."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharing:
    """Weights and patience of the line in front of one pool.

    Attributes:
        weights: Each app's share relative to the others', above 0; an app that is not named has the weight 1.
        max_depth: How many callers of one app may wait, at least 1. It counts by app, so that an app whose line is
            full keeps nobody else out.
        hold: Seconds for which a caller who is absent between two polls keeps its turn.
        ticket_ttl: Seconds after which an absent caller is forgotten.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    max_depth: int = 10_000
    hold: float = 0.25
    ticket_ttl: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what would keep an app, or everybody, waiting for ever."""
        for app, weight in self.weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise ValueError(f"the weight of {app!r} must be a number above 0, not {weight!r}")
        if not isinstance(self.max_depth, int) or isinstance(self.max_depth, bool) or self.max_depth < 1:
            raise ValueError(f"max_depth must be a whole number of at least 1, not {self.max_depth!r}")
        for name in ("hold", "ticket_ttl"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of at least 0, not {getattr(self, name)!r}")
