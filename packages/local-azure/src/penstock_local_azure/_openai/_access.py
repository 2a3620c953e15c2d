"""Who may ask: whoever shows the key or, where tokens are checked, a token of Entra ID."""

from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from penstock_local_azure._guard import Guard, TokenRefused

from ._api_error import ApiError


class TokenNotAcceptedError(ApiError):
    """The answer of the gateway, which has a form of its own, to a token it does not take."""

    def __init__(self, audience: str) -> None:
        what = f"Unauthorized. Access token is missing, invalid, audience is incorrect ({audience}), or have expired."
        super().__init__(401, None, what)

    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        return {"statusCode": self.status, "message": self.message}


class Access:
    """Looks at the credentials of requests.

    Args:
        api_key: the key.
        guard: what checks tokens; None: only the key counts.
    """

    def __init__(self, api_key: str, guard: Guard | None) -> None:
        self._api_key = api_key.encode()
        self._guard = guard

    def authorise(self, headers: Mapping[str, str]) -> None:
        """Let a request pass that shows what opens the resource.

        Raises:
            ApiError: it does not.
        """
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        token = bearer if scheme.lower() == "bearer" else ""
        key = headers.get("api-key", "")
        if self._guard is None:
            if not self._opens(key or token):
                raise ApiError(401, "401", "Access denied: the key is missing or is not the stand-in's.")
        else:
            self._check(self._guard, key, token)

    def _check(self, guard: Guard, key: str, token: str) -> None:
        """Let pass by token, and by key if keys are accepted; the key may come as a bearer token, too."""
        if guard.accepts_keys and self._opens(key or token):
            return
        if key:
            raise _key_refused(guard)
        try:
            guard.admit(token)
        except TokenRefused:
            raise TokenNotAcceptedError(guard.audiences[0]) from None

    def _opens(self, shown: str) -> bool:
        return compare_digest(shown.encode("utf-8", "surrogateescape"), self._api_key)


def _key_refused(guard: Guard) -> ApiError:
    """Return the answer to a key that is wrong, or that the resource does not take."""
    if guard.accepts_keys:
        return ApiError(401, "401", "Access denied: the key is not the stand-in's.")
    return ApiError(403, "AuthenticationTypeDisabled", "Key based authentication is disabled for this resource.")
