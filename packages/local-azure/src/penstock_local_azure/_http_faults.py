"""What goes wrong with an answer on its way to an HTTP client, whatever service gave it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """The answer comes so many seconds later than it would have."""

    seconds: float


@dataclass(frozen=True, slots=True)
class StalledAnswer:
    """The connection stays open, and nothing more comes.

    Args:
        after: which part of the answer's bytes comes before, from 0 to 1; 0: not even its status.
    """

    after: float = 0.0


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """The answer ends too early.

    Args:
        after: which part of its bytes comes, from 0 to 1; 0: not even its status.
        abrupt: the connection ends; else only the answer does, as if it were whole.
    """

    after: float = 0.5
    abrupt: bool = True
