"""Which deployment to ask: the first that works, and the next ones while it does not. Pure but for the clock."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from ._errors import CompletionError, ContentFiltered, EndpointUnavailable
from ._lane import Lane

LaneT = TypeVar("LaneT", bound=Lane[Any])

_REST: Final = 5.0
"""Seconds for which a deployment that failed is passed over, if it does not say for how long."""


class Route(Generic[LaneT]):
    """One call's way through the deployments.

    Args:
        lanes: The deployments, the preferred one first.
        clock: Seconds that never go back.

    Attributes:
        lane: Where to ask next.
    """

    def __init__(self, lanes: Sequence[LaneT], clock: Callable[[], float]) -> None:
        self._lanes = lanes
        self._clock = clock
        self._failed: list[LaneT] = []
        self.lane = self._soonest(lanes)

    def turn(self, error: CompletionError) -> bool:
        """Turn to a deployment that did not fail yet, if the error is one that it may not have."""
        if not isinstance(error, EndpointUnavailable | ContentFiltered):
            return False
        if isinstance(error, EndpointUnavailable):
            rest = _REST if error.retry_after is None else error.retry_after
            self.lane.resting_until = self._clock() + rest
        self._failed.append(self.lane)
        left = [lane for lane in self._lanes if lane not in self._failed]
        if left:
            self.lane = self._soonest(left)
        return bool(left)

    def start_over(self) -> None:
        """Ask all again, after a wait: first the one that works soonest."""
        self._failed.clear()
        self.lane = self._soonest(self._lanes)

    def _soonest(self, lanes: Sequence[LaneT]) -> LaneT:
        """Return the first deployment that does not rest; if all do, the one that will be back first."""
        now = self._clock()
        return min(lanes, key=lambda lane: max(0.0, lane.resting_until - now))
