"""The messages that can be received, in order: one line for the whole queue, or one for each message session."""

from collections.abc import Container
from heapq import heappop, heappush


class Line:
    """Sequence numbers, the lowest first."""

    def __init__(self) -> None:
        self._members: set[int] = set()
        self._heap: list[int] = []

    def __len__(self) -> int:
        return len(self._members)

    def add(self, number: int) -> None:
        """Put a number at its place."""
        self._members.add(number)
        heappush(self._heap, number)

    def discard(self, number: int) -> None:
        """Take a number out, wherever it stands; it never comes back."""
        self._members.discard(number)

    def first(self) -> int:
        """Return the lowest number of a line that is not empty."""
        while self._heap[0] not in self._members:
            heappop(self._heap)
        return self._heap[0]

    def pop(self) -> int:
        """Take the lowest number out of a line that is not empty."""
        number = self.first()
        heappop(self._heap)
        self._members.remove(number)
        return number


class Lines:
    """Lines by message session; `None` is the line of a queue without sessions."""

    def __init__(self) -> None:
        self._lines: dict[str | None, Line] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, session_id: str | None) -> bool:
        """Whether anything waits in a line."""
        return session_id in self._lines

    def add(self, session_id: str | None, number: int) -> None:
        """Put a number into a line."""
        self._lines.setdefault(session_id, Line()).add(number)
        self._count += 1

    def discard(self, session_id: str | None, number: int) -> None:
        """Take a number that is there out of a line."""
        self._lines[session_id].discard(number)
        self._took_from(session_id)

    def pop(self, session_id: str | None) -> int | None:
        """Take the first number out of a line; None if it is empty."""
        line = self._lines.get(session_id)
        if line is None:
            return None
        number = line.pop()
        self._took_from(session_id)
        return number

    def sessions(self) -> list[str]:
        """Return the message sessions with something in line."""
        return [session_id for session_id in self._lines if session_id is not None]

    def next_session(self, taken: Container[str]) -> str | None:
        """Return the session, of those that are not taken, whose first message is the oldest."""
        free = [session_id for session_id in self.sessions() if session_id not in taken]
        return min(free, key=lambda session_id: self._lines[session_id].first(), default=None)

    def _took_from(self, session_id: str | None) -> None:
        self._count -= 1
        if not self._lines[session_id]:
            del self._lines[session_id]
