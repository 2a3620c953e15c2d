"""Duplicate detection: which message ids were seen within the history window."""

from collections import deque


class History:
    """Remembers ids for a fixed time after they were first seen; a repetition does not extend it.

    Args:
        window: Seconds an id is remembered; None: nothing ever is a duplicate.
    """

    def __init__(self, window: float | None) -> None:
        self._window = window
        self._seen: set[str] = set()
        self._ages: deque[tuple[float, str]] = deque()

    def admit(self, message_id: str | None, now: float) -> bool:
        """Note an id; return False if it is a duplicate. A message without an id never is one."""
        if self._window is None or message_id is None:
            return True
        self._forget(now - self._window)
        if message_id in self._seen:
            return False
        self._seen.add(message_id)
        self._ages.append((now, message_id))
        return True

    def _forget(self, horizon: float) -> None:
        while self._ages and self._ages[0][0] <= horizon:
            self._seen.remove(self._ages.popleft()[1])
