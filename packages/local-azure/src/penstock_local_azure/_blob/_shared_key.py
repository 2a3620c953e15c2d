"""Shared Key: the string that a request signs, and whether the signature is the account's.

Source: Microsoft, "Authorize with Shared Key" (Blob, Queue and File services, version 2015-02-21 or later).
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from ._refusal import Refusal

_SIGNED_HEADERS: Final = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


@dataclass(frozen=True, slots=True)
class Signed:
    """What of a request is signed.

    Attributes:
        method: The verb, upper case.
        path: The path as it travelled, percent-encoded, without the query.
        query: Parameters and values as they travelled, percent-encoded, in any order.
        headers: The request's headers.
    """

    method: str
    path: str
    query: Iterable[tuple[str, str]]
    headers: Mapping[str, str]


def _plain_order(name: str) -> object:
    """The order of Microsoft's documentation: by character."""
    return name


def _collated_order(name: str) -> object:
    """The order of the service, as Microsoft's SDKs sign: hyphens count last, punctuation comes before digits."""
    return [(character.isalnum(), character) for character in name if character != "-"], name


def string_to_sign(request: Signed, account: str, order: Callable[[str], object] = _plain_order) -> str:
    """The text whose HMAC is the signature; ``order`` is the sort key for the ``x-ms-`` headers' names."""
    headers = {name.lower(): " ".join(value.split()) for name, value in request.headers.items()}
    if headers.get("content-length") == "0":
        headers["content-length"] = ""
    if "x-ms-date" in headers:
        headers["date"] = ""
    own = sorted((name for name in headers if name.startswith("x-ms-")), key=order)  # type: ignore[arg-type]
    return "\n".join(
        [
            request.method,
            *(headers.get(name, "") for name in _SIGNED_HEADERS),
            *(f"{name}:{headers[name]}" for name in own),
            f"/{account}{request.path}",
            *_canonicalized_query(request.query),
        ]
    )


def _canonicalized_query(query: Iterable[tuple[str, str]]) -> list[str]:
    """One line per parameter, names in lower case and sorted, several values of one joined by commas."""
    values: dict[str, list[str]] = {}
    for name, value in query:
        values.setdefault(unquote(name).lower(), []).append(unquote(value))
    return [f"{name}:{','.join(sorted(values[name]))}" for name in sorted(values)]


def sign(key: str, text: str) -> str:
    """The signature of ``text`` by an account key (base64), in base64."""
    return b64encode(hmac.digest(b64decode(key), text.encode("utf-8", "surrogateescape"), "sha256")).decode()


def verify(request: Signed, account: str, key: str) -> None:
    """Let a request that the account signed pass.

    Raises:
        Refusal: NoAuthenticationInformation without credentials, NotImplemented for credentials of another kind,
            AuthenticationFailed for another account or key.
    """
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        raise Refusal("NoAuthenticationInformation")
    if scheme != "SharedKey":
        raise Refusal("NotImplemented", "authorization by another scheme than SharedKey")
    given_account, _, signature = credentials.partition(":")
    expected = (sign(key, string_to_sign(request, account, order)) for order in (_plain_order, _collated_order))
    if given_account != account or not any(hmac.compare_digest(one.encode(), signature.encode()) for one in expected):
        raise Refusal("AuthenticationFailed")
