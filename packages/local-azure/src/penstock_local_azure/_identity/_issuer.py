"""Access tokens: JSON Web Tokens as Entra ID issues them, with a signature of this run's own."""

import secrets
import time
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

import jwt

from penstock_local_azure._guard import TokenRefused

_ALGORITHM: Final = "HS256"
_SECRET_BYTES: Final = 32
_TENANT: Final = "00000000-0000-0000-0000-000000000000"
_ISSUER: Final = f"https://sts.windows.net/{_TENANT}/"


class Token(NamedTuple):
    """A token and what is said about it beside it."""

    text: str
    expires_on: int
    """Seconds since the epoch."""


class Issuer:
    """Issues tokens and checks them.

    The signature is a shared secret's, because both sides of it are here: to a client a token has no parts.

    Args:
        lifetime: seconds for which a token is good, at least 1; whole ones count.
        wall: seconds since the epoch.

    Raises:
        ValueError: the lifetime is shorter.
    """

    def __init__(self, lifetime: float, wall: Callable[[], float] = time.time) -> None:
        if not lifetime >= 1:
            raise ValueError(f"token_lifetime must be at least 1 second, not {lifetime}")
        self._lifetime = lifetime
        self._wall = wall
        self._secret = secrets.token_bytes(_SECRET_BYTES)

    def issue(self, resource: str, lifetime: float | None = None) -> Token:
        """Return a new token for a resource.

        Args:
            resource: what it is for: the token's audience.
            lifetime: seconds, instead of the usual ones; a negative number makes an expired token.
        """
        now = self._wall()
        expires_on = int(now + (self._lifetime if lifetime is None else lifetime))
        claims = {
            "aud": resource,
            "iss": _ISSUER,
            "iat": int(now),
            "nbf": int(now),
            "exp": expires_on,
            "tid": _TENANT,
            "uti": secrets.token_urlsafe(),
        }
        return Token(jwt.encode(claims, self._secret, _ALGORITHM), expires_on)

    def check(self, token: str, audiences: Collection[str]) -> float:
        """Return when a token expires, in seconds since the epoch.

        Raises:
            TokenRefused: it is not one of ours, is for somebody else, or has expired: no second is added.
        """
        accepted = [variant for audience in audiences for variant in (audience, f"{audience}/")]
        try:
            claims = jwt.decode(
                token.encode("utf-8", "replace"),
                self._secret,
                algorithms=[_ALGORITHM],
                audience=accepted,
                issuer=_ISSUER,
                options={
                    "require": ["exp", "aud", "iss"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidAudienceError:
            raise TokenRefused("audience") from None
        except jwt.PyJWTError:
            raise TokenRefused("invalid") from None
        expires = float(claims["exp"])
        if self._wall() >= expires:
            raise TokenRefused("expired", expires)
        return expires
