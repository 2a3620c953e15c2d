"""What a connection may do: for which entities it has put tokens, and until when.

Sources: Microsoft, "AMQP 1.0 in Azure Service Bus protocol guide", claims-based security; the words are those that
users of the service report.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from penstock_local_azure._guard import Guard, TokenRefused

from ._errors import AUTH_FAILED, DETACH_FORCED, UNAUTHORIZED_ACCESS, AmqpError
from ._namespace import CBS

_FOR_EVER: Final = float("inf")
_NO_KEYS: Final = (
    "LocalAuthDisabled: Authorization failed because SAS authentication has been disabled for the namespace."
)


class Claim(NamedTuple):
    """What a link needs: a right on an entity."""

    link: str
    right: str
    """`Send` or `Listen`."""
    path: str

    @property
    def denial(self) -> str:
        """The service's words where the right is missing."""
        what = f"Unauthorized access. '{self.right}' claim(s) are required to perform this operation."
        return f"{what} Resource: '{self.path}'."


class Grants:
    """The tokens of one connection, entity by entity. A token confers every right on what it was put for.

    Args:
        guard: What checks tokens; None: everything is allowed.
        wall: Seconds since the epoch.
    """

    def __init__(self, guard: Guard | None = None, wall: Callable[[], float] = time.time) -> None:
        self._guard = guard
        self._wall = wall
        self._until: dict[str, float] = {}

    def put(self, path: str, token: str, *, is_key: bool) -> None:
        """Take a token for an entity and what lies below it, in place of any former one.

        Raises:
            AmqpError: It is refused.
        """
        if self._guard is None:
            return
        if not is_key:
            self._until[path.lower()] = _admitted(self._guard, token)
        elif self._guard.accepts_keys:
            self._until[path.lower()] = _FOR_EVER
        else:
            raise AmqpError(AUTH_FAILED, _NO_KEYS)

    def covers(self, claim: Claim) -> bool:
        """Tell whether a token that has not expired confers what a link needs; `$cbs` is open to all."""
        if self._guard is None or claim.path.lower() == CBS:
            return True
        now, path = self._wall(), f"{claim.path.lower()}/"
        return any(now < until and path.startswith(_folder(of)) for of, until in self._until.items())

    def check(self, claim: Claim) -> None:
        """Raise if a link may not be attached.

        Raises:
            AmqpError: Its token is missing or has expired.
        """
        if not self.covers(claim):
            raise AmqpError(UNAUTHORIZED_ACCESS, claim.denial)

    def forget_expired(self) -> None:
        """Drop the tokens that are no longer good."""
        now = self._wall()
        self._until = {path: until for path, until in self._until.items() if now < until}

    def seconds_left(self) -> float | None:
        """Seconds until the next token expires; None: none does."""
        next_expiry = min(self._until.values(), default=_FOR_EVER)
        return None if next_expiry == _FOR_EVER else next_expiry - self._wall()


def forced_detach(claim: Claim) -> AmqpError:
    """What a link is told whose token has expired."""
    what = f"The link '{claim.link}' is force detached. Code: RenewToken. Details: {claim.denial}"
    return AmqpError(DETACH_FORCED, what)


def _folder(path: str) -> str:
    """The beginning of every path that a token for this one is good for; one for the namespace is good for all."""
    return f"{path}/" if path else ""


def _admitted(guard: Guard, token: str) -> float:
    """Return when a token expires, or refuse it in the service's words."""
    try:
        return guard.admit(token)
    except TokenRefused as refusal:
        raise AmqpError(AUTH_FAILED, _words(refusal)) from None


def _words(refusal: TokenRefused) -> str:
    if refusal.expired is not None:
        at = datetime.fromtimestamp(refusal.expired, UTC).replace(tzinfo=None)
        return f"ExpiredToken: The token is expired. Expiration time: '{at.isoformat(' ', 'seconds')}Z'"
    if refusal.reason == "audience":
        return "InvalidAudience: The authorization header contains a token with a wrong audience."
    return "InvalidSignature: The token has an invalid signature."
