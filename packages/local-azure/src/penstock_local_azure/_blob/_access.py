"""Who may ask.

Whoever signs with the account's key, comes by an address that was signed with it or, where tokens are checked, shows a
token of Entra ID.

Sources: Microsoft, "Authorize with Microsoft Entra ID", with its section on the bearer challenge; "Prevent Shared Key
authorization for an Azure Storage account".
"""

from collections.abc import Callable
from typing import Final

from penstock_local_azure._guard import Guard, Reason, TokenRefused

from . import _sas
from ._call import Call
from ._refusal import Refusal
from ._shared_key import verify

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
        clock: Seconds since the epoch.

    Attributes:
        key: What requests and shared access signatures are to be signed with from now on.
    """

    def __init__(self, account: str, key: str, guard: Guard | None, clock: Callable[[], float]) -> None:
        self._account = account
        self.key = key
        self._guard = guard
        self._clock = clock

    def authorise(self, call: Call, *, overwrites: bool) -> None:
        """Let a request pass that may.

        Args:
            call: The request.
            overwrites: Whether there is a blob where it would write one.

        Raises:
            Refusal: It may not.
        """
        if self._guard is None:
            self._check_key(call, overwrites=overwrites)
        else:
            self._check(call, self._guard, overwrites=overwrites)

    def _check(self, call: Call, guard: Guard, *, overwrites: bool) -> None:
        """Let pass by token, and by key if keys are accepted."""
        scheme, _, token = call.request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            _check_token(token, guard)
        elif not scheme and not call.sas:
            raise Refusal("NoAuthenticationInformation", headers=_challenge(guard))
        elif guard.accepts_keys:
            self._check_key(call, overwrites=overwrites)
        else:
            raise Refusal("KeyBasedAuthenticationNotPermitted")

    def _check_key(self, call: Call, *, overwrites: bool) -> None:
        """Let pass what was signed with the key: the request, or its address."""
        if not call.sas:
            verify(call.signed, self._account, self.key)
            return
        visit = _sas.Visit(
            operation=call.operation,
            container=call.container,
            blob=call.blob,
            overwrites=overwrites,
            address=call.request.remote or "",
            scheme=call.request.scheme,
            now=self._clock(),
        )
        _sas.check(call.sas, visit, self._account, self.key)


def _check_token(token: str, guard: Guard) -> None:
    try:
        guard.admit(token)
    except TokenRefused as refusal:
        detail = _DETAILS[refusal.reason]
        raise Refusal("InvalidAuthenticationInfo", detail, _challenge(guard)) from None


def _challenge(guard: Guard) -> dict[str, str]:
    """Tell where tokens come from and what they must be for, in the form that Microsoft documents."""
    return {"WWW-Authenticate": f"Bearer authorization_uri={_AUTHORIZATION_URI} resource_id={guard.audiences[0]}"}
