"""Shared access signatures: what of an account a signed address opens, for whom and until when.

Sources: Microsoft, "Create an account SAS" and "Create a service SAS", for signatures of version 2020-12-06 or later,
which all sign the same fields.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

from ._operations import PERMISSIONS
from ._refusal import Refusal
from ._shared_key import sign

_OLDEST: Final = "2020-12-06"
_OVERRIDES: Final = {
    "rscc": "Cache-Control",
    "rscd": "Content-Disposition",
    "rsce": "Content-Encoding",
    "rscl": "Content-Language",
    "rsct": "Content-Type",
}
_REFUSED: Final = {"skoid": "a user delegation SAS", "si": "a stored access policy", "ses": "an encryption scope"}

PARAMETERS: Final = frozenset({"sv", "ss", "srt", "sr", "sp", "st", "se", "sip", "spr", "sig", *_OVERRIDES, *_REFUSED})
"""The parameters of a query that are the signature's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a request with such a signature wants.

    Attributes:
        operation: The operation's name.
        container: The container's name, or nothing.
        blob: The blob's name, or nothing.
        overwrites: Whether there is a blob of that name.
        address: Where the request comes from.
        scheme: `http` or `https`.
        now: Seconds since the epoch.
    """

    operation: str
    container: str
    blob: str
    overwrites: bool
    address: str
    scheme: str
    now: float


def check(sas: Mapping[str, str], visit: Visit, account: str, key: str) -> None:
    """Let a request pass that the signature permits.

    Raises:
        Refusal: AuthenticationFailed, when the signature is not the account's, or not of now; one of the codes that
            begin with Authorization, when it permits something else; NotImplemented for other kinds of signatures.
    """
    for parameter, what in _REFUSED.items():
        if sas.get(parameter):
            raise Refusal("NotImplemented", f"a shared access signature with {what}")
    if sas.get("sv", "") < _OLDEST:
        raise Refusal("NotImplemented", f"a shared access signature of a version before {_OLDEST}")
    text = _service_text(sas, visit, account) if "sr" in sas else _account_text(sas, account)
    if not hmac.compare_digest(sign(key, text).encode(), sas["sig"].encode()):
        raise Refusal("AuthenticationFailed", "shared access signature")
    _check_circumstances(sas, visit)
    _check_permission(sas, visit)


def overrides(sas: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer that the signature replaces."""
    return {header: sas[parameter] for parameter, header in _OVERRIDES.items() if sas.get(parameter)}


def _account_text(sas: Mapping[str, str], account: str) -> str:
    fields = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")
    return "".join(f"{line}\n" for line in (account, *_values(sas, fields)))


def _service_text(sas: Mapping[str, str], visit: Visit, account: str) -> str:
    if sas["sr"] not in {"b", "c"}:
        raise Refusal("NotImplemented", f"a shared access signature for sr={sas['sr']}")
    resource = f"/blob/{account}/{visit.container}{f'/{visit.blob}' if sas['sr'] == 'b' else ''}"
    before, behind = ("sp", "st", "se"), ("si", "sip", "spr", "sv", "sr", "snapshot", "ses", *_OVERRIDES)
    return "\n".join([*_values(sas, before), resource, *_values(sas, behind)])


def _values(sas: Mapping[str, str], names: Iterable[str]) -> list[str]:
    return [sas.get(name, "") for name in names]


def _check_circumstances(sas: Mapping[str, str], visit: Visit) -> None:
    """See whether it is the time, the place and the protocol."""
    if visit.now >= _moment(sas.get("se", "")) or (sas.get("st") and visit.now < _moment(sas["st"])):
        raise Refusal("AuthenticationFailed", "the shared access signature is not valid at this time")
    if sas.get("spr") == "https" and visit.scheme != "https":
        raise Refusal("AuthorizationProtocolMismatch")
    if sas.get("sip"):
        first, _, last = sas["sip"].partition("-")
        if not _is_between(visit.address, first, last or first):
            raise Refusal("AuthorizationSourceIPMismatch")


def _check_permission(sas: Mapping[str, str], visit: Visit) -> None:
    """See whether the operation is among those permitted."""
    kind, letters = PERMISSIONS[visit.operation]
    if "sr" in sas:
        if kind != "o" and visit.operation != "List Blobs":
            raise Refusal("AuthorizationPermissionMismatch")
    elif "b" not in sas.get("ss", ""):
        raise Refusal("AuthorizationServiceMismatch")
    elif not set(kind) & set(sas.get("srt", "")):
        raise Refusal("AuthorizationResourceTypeMismatch")
    permitted = set(letters) & set(sas.get("sp", ""))
    if not permitted:
        raise Refusal("AuthorizationPermissionMismatch")
    if permitted == {"c"} and visit.overwrites:
        raise Refusal("UnauthorizedBlobOverwrite")


def _moment(text: str) -> float:
    """A time as it is signed: a date, or with minutes, or with seconds, in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("AuthenticationFailed", "the shared access signature's times are none") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _is_between(address: str, first: str, last: str) -> bool:
    try:
        found, low, high = (int(ip_address(one)) for one in (address, first, last))
    except ValueError:
        return False
    return low <= found <= high
