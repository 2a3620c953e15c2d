"""Shared Key signatures, after Microsoft's "Authorize with Shared Key"."""

from base64 import b64encode

import pytest

from penstock_local_azure._blob._refusal import Refusal
from penstock_local_azure._blob._shared_key import Signed, sign, string_to_sign, verify

ACCOUNT = "penstocklocal"
KEY = b64encode(b"a key of thirty-two bytes, no less").decode()


def request(method: str = "GET", path: str = "/penstocklocal/logs", query: str = "", **headers: str) -> Signed:
    pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)]
    return Signed(method, path, pairs, {name.replace("_", "-"): value for name, value in headers.items()})


def test_the_string_lists_verb_headers_own_headers_and_resource() -> None:
    asked = request(
        "PUT",
        "/penstocklocal/logs/a%20b.log",
        "timeout=30&comp=block",
        Content_Length="11",
        Content_MD5="XrY7u+Ae7tCTyyK7j1rNww==",
        If_None_Match="*",
        x_ms_version="2026-10-06",
        x_ms_date="Sun, 22 Nov 2026 12:00:00 GMT",
    )
    assert string_to_sign(asked, ACCOUNT).split("\n") == [
        "PUT",
        "",  # Content-Encoding
        "",  # Content-Language
        "11",  # Content-Length
        "XrY7u+Ae7tCTyyK7j1rNww==",  # Content-MD5
        "",  # Content-Type
        "",  # Date
        "",  # If-Modified-Since
        "",  # If-Match
        "*",  # If-None-Match
        "",  # If-Unmodified-Since
        "",  # Range
        "x-ms-date:Sun, 22 Nov 2026 12:00:00 GMT",
        "x-ms-version:2026-10-06",
        "/penstocklocal/penstocklocal/logs/a%20b.log",
        "comp:block",
        "timeout:30",
    ]


def test_a_length_of_zero_is_signed_as_nothing() -> None:
    assert string_to_sign(request(Content_Length="0"), ACCOUNT) == string_to_sign(request(), ACCOUNT)


def test_the_date_is_signed_only_when_there_is_no_x_ms_date() -> None:
    date = "Sun, 22 Nov 2026 12:00:00 GMT"
    assert date in string_to_sign(request(Date=date), ACCOUNT)
    both = string_to_sign(request(Date=date, x_ms_date="Sun, 22 Nov 2026 12:00:01 GMT"), ACCOUNT)
    assert date not in both


def test_white_space_in_own_headers_is_folded() -> None:
    assert "x-ms-meta-note:two words\n" in string_to_sign(request(x_ms_meta_note="  two \t words "), ACCOUNT)


def test_query_values_are_decoded_sorted_and_joined() -> None:
    asked = request(query="include=metadata&prefix=a%2Fb+c&include=copy&Comp=list")
    assert string_to_sign(asked, ACCOUNT).endswith("\ncomp:list\ninclude:copy,metadata\nprefix:a/b+c")


@pytest.mark.parametrize("names", [["a", "b"], ["a_b", "a1"], ["ab_", "ab", "abc"], ["a0", "a_", "aa"]])
def test_own_headers_may_be_sorted_by_character_or_as_the_service_sorts(names: list[str]) -> None:
    headers = {f"x-ms-meta-{name}": "v" for name in names}
    asked = Signed("GET", "/penstocklocal/logs", [], headers)
    by_character = string_to_sign(asked, ACCOUNT)
    punctuation_first = string_to_sign(asked, ACCOUNT, lambda name: [(c.isalnum(), c) for c in name])
    for text in (by_character, punctuation_first):
        verify(_authorized(asked, sign(KEY, text)), ACCOUNT, KEY)


def test_a_signature_of_another_key_is_refused() -> None:
    other = b64encode(b"another key of thirty-two bytes..").decode()
    _is_refused(_authorized(request(), sign(other, string_to_sign(request(), ACCOUNT))), "AuthenticationFailed")


def test_a_signature_of_another_request_is_refused() -> None:
    stolen = sign(KEY, string_to_sign(request("GET"), ACCOUNT))
    _is_refused(_authorized(request("DELETE"), stolen), "AuthenticationFailed")


def test_a_signature_by_another_account_is_refused() -> None:
    signature = sign(KEY, string_to_sign(request(), ACCOUNT))
    _is_refused(_authorized(request(), signature, account="somebodyelse"), "AuthenticationFailed")


@pytest.mark.parametrize("header", ["SharedKey", "SharedKey ", "SharedKey penstocklocal", "SharedKey penstocklocal:ä"])
def test_a_broken_authorization_header_is_refused(header: str) -> None:
    _is_refused(request(Authorization=header), "AuthenticationFailed")


def test_no_credentials_are_told_apart_from_wrong_ones() -> None:
    _is_refused(request(), "NoAuthenticationInformation")


def test_credentials_of_another_kind_are_refused_by_name() -> None:
    _is_refused(request(Authorization="Bearer token"), "NotImplemented")


def _authorized(asked: Signed, signature: str, account: str = ACCOUNT) -> Signed:
    headers = {**asked.headers, "Authorization": f"SharedKey {account}:{signature}"}
    return Signed(asked.method, asked.path, asked.query, headers)


def _is_refused(asked: Signed, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        verify(asked, ACCOUNT, KEY)
    assert caught.value.code == code
