"""How long to wait on an empty queue before looking around: longer the longer it stays empty."""

_SHORTEST = 0.05


class Pace:
    """The length of one receive call in seconds, between 50 ms and `longest`.

    A message that arrives ends the call at once, so a long wait costs no latency; it only saves calls.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self.seconds = min(_SHORTEST, longest)

    def found(self, *, anything: bool) -> None:
        """Adjust to what the last call brought."""
        self.seconds = min(_SHORTEST if anything else self.seconds * 2, self._longest)
