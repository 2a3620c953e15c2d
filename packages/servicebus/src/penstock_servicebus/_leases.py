"""When to renew which lock: at half of its remaining life, as long as the work may take."""

import math
from dataclasses import dataclass

_SOONEST = 0.25  # s between two tries to renew the same lock when the first one failed


@dataclass(slots=True)
class Lease:
    """The lock on one held message; all times are seconds of the monotonic clock."""

    expires: float
    renew_at: float
    keep_until: float


class Leases:
    """The locks one owner holds, and when each needs it."""

    def __init__(self) -> None:
        self._leases: dict[int, Lease] = {}

    def hold(self, key: int, *, now: float, life: float, keep_for: float) -> None:
        """Take note of a lock that lasts `life` seconds and is to be renewed for `keep_for` seconds in all."""
        self._leases[key] = Lease(now + life, now + max(life / 2, _SOONEST), now + keep_for)

    def renewed(self, key: int, *, now: float, life: float) -> None:
        """The broker extended the lock to `life` seconds from now."""
        lease = self._leases[key]
        lease.expires = now + life
        lease.renew_at = now + max(life / 2, _SOONEST)

    def postponed(self, key: int, *, now: float) -> None:
        """Renewing failed; try again at half of what is left."""
        lease = self._leases[key]
        lease.renew_at = now + max((lease.expires - now) / 2, _SOONEST)

    def drop(self, key: int) -> None:
        """The message is settled or lost."""
        self._leases.pop(key, None)

    def due(self, now: float) -> list[int]:
        """The keys to renew now, the one that expires first in front."""
        ready = [
            (lease.expires, key)
            for key, lease in self._leases.items()
            if lease.renew_at <= now < min(lease.expires, lease.keep_until)
        ]
        return [key for _, key in sorted(ready)]

    def next_due(self, now: float) -> float:
        """Seconds until a renewal is due; infinite if none will be."""
        return min(
            (
                max(lease.renew_at - now, 0.0)
                for lease in self._leases.values()
                if lease.renew_at < min(lease.expires, lease.keep_until) and now < lease.expires
            ),
            default=math.inf,
        )
