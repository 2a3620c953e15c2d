"""What can go wrong when asking for quota, as facts a retry loop can read without knowing the types."""

from __future__ import annotations

from typing import Any


class QuotaError(Exception):
    """The root of every error about quota; its attributes say what to do next.

    Attributes:
        permanent: Asking again cannot help.
        environment: Not this request's fault: the quota is used up, or the counter is out of reach.
        retry_after: Seconds after which asking again may help, if known.
    """

    permanent: bool = False
    environment: bool = True
    retry_after: float | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as it is: its constructor asks for more than the text."""
        return Exception.__new__, (type(self), *self.args), vars(self)


class TokenLimitExceeded(QuotaError):  # noqa: N818 - the name reads as what happened, and users know it
    """Raised when a request got no quota: it can never fit, or its deadline passed while it waited.

    Attributes:
        token_count: The estimate that was asked for, in tokens.
        waited: Seconds spent waiting.
    """

    def __init__(
        self,
        message: str,
        *,
        token_count: int,
        waited: float = 0.0,
        permanent: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.token_count = token_count
        self.waited = waited
        self.permanent = permanent
        self.environment = not permanent
        self.retry_after = retry_after


class TokenCounterUnavailable(QuotaError):  # noqa: N818 - the name reads as what happened, and users know it
    """Raised when the token counter could not be asked, or answered something else than an answer.

    Attributes:
        url: The counter's address, without credentials.
        status: The HTTP status it answered, if it answered at all.
    """

    def __init__(self, message: str, *, url: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.url = url
        self.status = status
        self.retry_after = retry_after
