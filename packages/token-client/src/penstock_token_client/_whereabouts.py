"""What became of what was granted, as far as it is known: an answer tells that a request was counted, silence nothing.

A request that was cancelled, or whose answer got lost, may have been counted by Azure or not. What Azure says is left
at a moment teaches something only once it is known what became of everything that was granted up to then.
"""

from __future__ import annotations

from collections import deque
from itertools import islice, takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._grant import Grant


class Mark(NamedTuple):
    """A moment.

    Attributes:
        granted: How many grants there were up to it.
        heard: How many corrections.
    """

    granted: int
    heard: int


class Correction(NamedTuple):
    """What is taken not to have been counted of a grant.

    Attributes:
        number: The grant's, from 1 on.
        at: When it was granted.
        prompts: Tokens of its prompt.
        exact: Tokens of its completion.
        lost: Whether nobody knows.
    """

    number: int
    at: float
    prompts: int
    exact: int
    lost: bool


class Whereabouts:
    """Follows each grant until its end is known, or given up."""

    def __init__(self) -> None:
        self._granted = 0
        self._open: dict[str, tuple[int, Grant]] = {}
        self._corrections: deque[Correction] = deque()
        self._forgotten = 0

    def granted(self, grants: Iterable[Grant]) -> None:
        """Follow grants, in the order of their times."""
        followed, number = self._open, self._granted
        for grant in grants:
            number += 1
            followed[grant.id] = number, grant
        self._granted = number

    def arrived(self, grant_id: str) -> None:
        """Note that a grant was counted, as it was estimated."""
        self._open.pop(grant_id, None)

    def correct(self, grant_id: str, prompts: int, exact: int) -> Grant | None:
        """Note that so much of a grant was not counted; return the grant if it was followed until now."""
        number, grant = self._open.pop(grant_id, (0, None))
        if grant is not None:
            self._corrections.append(Correction(number, grant.at, prompts, exact, lost=False))
        return grant

    def give_up(self, before: float) -> None:
        """Follow no longer what was granted up to a time."""
        for number, grant in tuple(takewhile(lambda followed: followed[1].at <= before, self._open.values())):
            del self._open[grant.id]
            _, tokens, exact, _, _ = grant.order
            self._corrections.append(Correction(number, grant.at, tokens - exact, exact, lost=True))

    def mark(self) -> Mark:
        """Return the moment after all that was granted and heard so far."""
        return Mark(self._granted, self._forgotten + len(self._corrections))

    def known(self, mark: Mark) -> bool:
        """Tell whether nothing that was granted up to a moment is followed any longer."""
        return next((number > mark.granted for number, _ in self._open.values()), True)

    def since(self, mark: Mark) -> Iterator[Correction]:
        """Yield what was heard since a moment about what was granted up to it."""
        for correction in islice(self._corrections, mark.heard - self._forgotten, None):
            if correction.number <= mark.granted:
                yield correction

    def forget(self, heard: int) -> None:
        """Forget the first corrections, which no mark needs any longer."""
        while self._forgotten < heard:
            self._corrections.popleft()
            self._forgotten += 1
