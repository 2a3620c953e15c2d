"""What a service asks of the tokens it is shown, and the account of how that went."""

from collections import Counter
from collections.abc import Callable, Collection
from ssl import SSLContext
from typing import Any, Literal, NamedTuple

Reason = Literal["audience", "expired", "invalid", "told to"]


class TokenRefused(Exception):  # noqa: N818  # it is an answer on its way to the client, not a fault of the stand-in
    """A token that opens nothing.

    Args:
        reason: which check it failed; ``invalid`` covers its form, its signature and its issuer.
        expired: when it expired, in seconds since the epoch, if that is the reason.
    """

    def __init__(self, reason: Reason, expired: float | None = None) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.expired = expired


class Guard:
    """Lets in who shows a token that was issued for this service and has not expired.

    Args:
        audiences: what a token may be issued for; a slash at the end makes no difference.
        check: returns when a token expires, in seconds since the epoch, or raises `TokenRefused`.
        accepts_keys: whether the service's own keys open it, too.
    """

    def __init__(
        self, audiences: Collection[str], check: Callable[[str, Collection[str]], float], *, accepts_keys: bool
    ) -> None:
        self.audiences = tuple(audiences)
        self.accepts_keys = accepts_keys
        self._check = check
        self._to_refuse = 0
        self._accepted = 0
        self._tokens: set[str] = set()
        self._refused: Counter[Reason] = Counter()

    def admit(self, token: str) -> float:
        """Return when a token expires, in seconds since the epoch.

        Raises:
            TokenRefused: it opens nothing.
        """
        try:
            expires = self._judge(token)
        except TokenRefused as refusal:
            self._refused[refusal.reason] += 1
            raise
        self._accepted += 1
        self._tokens.add(token)
        return expires

    def refuse_next(self, times: int) -> None:
        """Refuse as many more of the next tokens, good ones too."""
        self._to_refuse += times

    def stats(self) -> dict[str, Any]:
        """Return how often a token was accepted, how many different ones, and how often one was refused, and why."""
        return {"accepted": self._accepted, "tokens": len(self._tokens), "refused": dict(self._refused)}

    def _judge(self, token: str) -> float:
        if self._to_refuse:
            self._to_refuse -= 1
            raise TokenRefused("told to")
        return self._check(token, self.audiences)


class Protection(NamedTuple):
    """What a service has instead of a key: TLS, and somebody who looks at tokens."""

    ssl_context: SSLContext
    guard: Guard
