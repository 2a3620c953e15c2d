"""Who may ask: whoever signs with the account's key or, where tokens are checked, shows a token of Entra ID.

Sources: Microsoft, "Authorize with Microsoft Entra ID", with its section on the bearer challenge; "Prevent Shared Key
authorization for an Azure Storage account".
"""

from typing import Final

from penstock_local_azure._guard import Guard, Reason, TokenRefused

from ._refusal import Refusal
from ._shared_key import Signed, verify

_DETAILS: Final[dict[Reason, str]] = {
    "audience": "Audience validation failed. Audience did not match.",
    "expired": "Lifetime validation failed. The token is expired.",
    "invalid": "Signature validation failed. Signature verification failed.",
    "told to": "Signature validation failed. Signature verification failed.",
}
_AUTHORIZATION_URI: Final = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/oauth2/authorize"


class Access:
    """Looks at the credentials of requests.

    Args:
        account: The account's name.
        key: Its key, base64.
        guard: What checks tokens; None: only the key counts.
    """

    def __init__(self, account: str, key: str, guard: Guard | None) -> None:
        self._account = account
        self._key = key
        self._guard = guard

    def authorise(self, request: Signed) -> None:
        """Let a request pass that may.

        Raises:
            Refusal: It may not.
        """
        if self._guard is None:
            verify(request, self._account, self._key)
        else:
            self._check(request, self._guard)

    def _check(self, request: Signed, guard: Guard) -> None:
        """Let pass by token, and by key if keys are accepted."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            _check_token(token, guard)
        elif not scheme and all(name != "sig" for name, _ in request.query):
            raise Refusal("NoAuthenticationInformation", headers=_challenge(guard))
        elif guard.accepts_keys:
            verify(request, self._account, self._key)
        else:
            raise Refusal("KeyBasedAuthenticationNotPermitted")


def _check_token(token: str, guard: Guard) -> None:
    try:
        guard.admit(token)
    except TokenRefused as refusal:
        detail = _DETAILS[refusal.reason]
        raise Refusal("InvalidAuthenticationInfo", detail, _challenge(guard)) from None


def _challenge(guard: Guard) -> dict[str, str]:
    """Tell where tokens come from and what they must be for, in the form that Microsoft documents."""
    return {"WWW-Authenticate": f"Bearer authorization_uri={_AUTHORIZATION_URI} resource_id={guard.audiences[0]}"}
