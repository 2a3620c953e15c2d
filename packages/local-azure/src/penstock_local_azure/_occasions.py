"""When a line of a fault script strikes: at one occasion, at every so many, or at some of these by chance."""

from random import Random


class Occasions:
    """Counts what a line is about, and tells which of it goes wrong.

    Args:
        nth: only the nth occasion, counted from 1; None: see the others.
        every: else every so many.
        chance: with this probability, from 0 to 1.
        seed: what chance derives from.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, nth: int | None, every: int, chance: float, seed: int) -> None:
        if (nth is not None and nth < 1) or every < 1:
            raise ValueError("nth and every must be at least 1")
        if not 0 <= chance <= 1:
            raise ValueError(f"chance must be from 0 to 1, not {chance}")
        self._nth = nth
        self._every = every
        self._chance = chance
        self._random = Random(seed)  # noqa: S311  # repeatable on purpose
        self._seen = 0

    def next(self) -> bool:
        """Count one occasion more, and tell whether it is one that goes wrong."""
        self._seen += 1
        if self._nth is not None:
            return self._seen == self._nth
        return self._seen % self._every == 0 and self._random.random() < self._chance
