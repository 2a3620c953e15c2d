"""How often to ask again, and how long to wait before it. Pure: the randomness is passed in."""

from collections.abc import Callable

from ._errors import CompletionError, EndpointUnavailable
from ._waiting import LONGEST_WAIT, delay


class Patience:
    """What is left of it.

    Args:
        retries: How many requests may follow the first, for whatever reason.
        random: Draws from 0 to 1.
    """

    def __init__(self, retries: int, random: Callable[[], float]) -> None:
        self._retries = retries
        self._random = random
        self._failures = 0

    def spend(self, error: CompletionError) -> None:
        """Use up one retry.

        Raises:
            CompletionError: The error itself, if none is left.
        """
        if self._retries <= 0:
            raise error
        self._retries -= 1

    def answered(self) -> None:
        """Take note that the endpoint works."""
        self._failures = 0

    def wait_out(self, error: CompletionError) -> float:
        """Return the seconds after which the endpoint may work again.

        Raises:
            CompletionError: The error itself, if waiting is of no use.
        """
        if isinstance(error, EndpointUnavailable) and error.passing and (error.retry_after or 0.0) <= LONGEST_WAIT:
            self._failures += 1
            return delay(error.retry_after, self._failures, self._random())
        raise error
