"""The peers of `ledger.py`, in an environment of their own: a hit for the tokens and a hit for the request, in memory.

They do the same work as far as they can: they have no report, no keys, no line and no sub-window, so theirs is less.
Set up as their documentation has it:

- limits ("Quickstart"): a `MemoryStorage`, a strategy on it, `strategy.hit(item, "…", cost=…)`. "Moving window … is the
  most effective for preventing bursts", and nearest to an exact log; the fixed window "is the most memory efficient".
- throttled-py (README, "In-Memory"): a `Throttled` with the algorithm, its quota and the default store, of which "it is
  usually not necessary to manually create" one; `throttle.limit(key, cost=…)`.
"""

from collections.abc import Callable

from limits import RateLimitItemPerMinute  # type: ignore[import-not-found]  # lives in an environment of its own
from limits.storage import MemoryStorage  # type: ignore[import-not-found]  # the same
from limits.strategies import (  # type: ignore[import-not-found]  # the same
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)
from pair_timing import Run, serve
from throttled import RateLimiterType, Throttled, rate_limiter  # type: ignore[import-not-found]  # the same

COST = 1216
ENDLESS = 10**15


def limits_row(strategy: Callable[[MemoryStorage], FixedWindowRateLimiter], cost: int) -> Run:
    """Hit tokens and requests of `limits`."""
    limiter = strategy(MemoryStorage())
    tokens, requests = RateLimitItemPerMinute(ENDLESS), RateLimitItemPerMinute(ENDLESS)

    def run(count: int) -> None:
        for _ in range(count):
            if not (limiter.hit(tokens, "tokens", cost=cost) and limiter.hit(requests, "requests")):
                raise RuntimeError("there is always room here")

    return run


def throttled_row(algorithm: RateLimiterType, cost: int) -> Run:
    """Hit tokens and requests of throttled-py."""
    tokens = Throttled(using=algorithm.value, quota=rate_limiter.per_min(ENDLESS))
    requests = Throttled(using=algorithm.value, quota=rate_limiter.per_min(ENDLESS))

    def run(count: int) -> None:
        for _ in range(count):
            if tokens.limit("tokens", cost=cost).limited or requests.limit("requests").limited:
                raise RuntimeError("there is always room here")

    return run


def main() -> None:
    """Measure on demand."""
    serve(
        {
            "limits, moving window": lambda: limits_row(MovingWindowRateLimiter, COST),
            "limits, moving window, cost 1": lambda: limits_row(MovingWindowRateLimiter, 1),
            "limits, sliding window counter": lambda: limits_row(SlidingWindowCounterRateLimiter, COST),
            "limits, fixed window": lambda: limits_row(FixedWindowRateLimiter, COST),
            "limits, fixed window, cost 1": lambda: limits_row(FixedWindowRateLimiter, 1),
            "throttled-py, sliding window": lambda: throttled_row(RateLimiterType.SLIDING_WINDOW, COST),
            "throttled-py, GCRA": lambda: throttled_row(RateLimiterType.GCRA, COST),
            "throttled-py, token bucket": lambda: throttled_row(RateLimiterType.TOKEN_BUCKET, COST),
            "throttled-py, fixed window": lambda: throttled_row(RateLimiterType.FIXED_WINDOW, COST),
            "throttled-py, fixed window, cost 1": lambda: throttled_row(RateLimiterType.FIXED_WINDOW, 1),
        }
    )


if __name__ == "__main__":
    main()
