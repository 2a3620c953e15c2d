"""Conditional requests, after Microsoft's "Specifying conditional headers for Blob service operations"."""

from dataclasses import dataclass

import pytest

from penstock_local_azure._blob._conditions import Conditions
from penstock_local_azure._blob._headers import byte_range, conditions
from penstock_local_azure._blob._refusal import NotModified, Refusal

NOON = "Sun, 22 Nov 2026 12:00:00 GMT"
LATER = "Sun, 22 Nov 2026 12:00:01 GMT"
EARLIER = "Sun, 22 Nov 2026 11:59:59 GMT"


@dataclass(frozen=True)
class Version:
    etag: str = '"0x2"'
    modified: float = 1_795_348_800.7  # NOON and a bit: headers know whole seconds only


OK, NOT_MET, NOT_MODIFIED, UNSATISFIABLE = 200, 412, 304, 400


def read(asked: Conditions, found: Version | None) -> int:
    try:
        asked.check_read(found)
    except Refusal as refusal:
        return refusal.status
    return OK


def write(asked: Conditions, found: Version | None) -> int:
    try:
        asked.check_write(found)
    except Refusal as refusal:
        return refusal.status
    return OK


@pytest.mark.parametrize(
    ("headers", "of_read", "of_write"),
    [
        ({}, OK, OK),
        ({"If-Match": '"0x2"'}, OK, OK),
        ({"If-Match": "0x2"}, OK, OK),
        ({"If-Match": "*"}, OK, OK),
        ({"If-Match": '"0x1", "0x2"'}, OK, OK),
        ({"If-Match": '"0x1"'}, NOT_MET, NOT_MET),
        ({"If-None-Match": '"0x1"'}, OK, OK),
        ({"If-None-Match": '"0x2"'}, NOT_MODIFIED, NOT_MET),
        ({"If-None-Match": '"0x1", "0x2"'}, NOT_MODIFIED, NOT_MET),
        ({"If-None-Match": "*"}, UNSATISFIABLE, NOT_MET),
        ({"If-Modified-Since": EARLIER}, OK, OK),
        ({"If-Modified-Since": NOON}, NOT_MODIFIED, NOT_MET),
        ({"If-Unmodified-Since": NOON}, OK, OK),
        ({"If-Unmodified-Since": EARLIER}, NOT_MET, NOT_MET),
        # A read needs one of If-None-Match and If-Modified-Since; for a write the ETag decides alone.
        ({"If-None-Match": '"0x2"', "If-Modified-Since": EARLIER}, OK, NOT_MET),
        ({"If-None-Match": '"0x1"', "If-Modified-Since": LATER}, OK, OK),
        ({"If-None-Match": '"0x2"', "If-Modified-Since": LATER}, NOT_MODIFIED, NOT_MET),
        # A read needs both If-Match and If-Unmodified-Since; for a write the ETag decides alone.
        ({"If-Match": '"0x2"', "If-Unmodified-Since": EARLIER}, NOT_MET, OK),
        ({"If-Match": '"0x1"', "If-Unmodified-Since": LATER}, NOT_MET, NOT_MET),
    ],
    ids=str,
)
def test_over_something(headers: dict[str, str], of_read: int, of_write: int) -> None:
    asked = conditions(headers)
    assert (read(asked, Version()), write(asked, Version())) == (of_read, of_write)


@pytest.mark.parametrize(
    ("headers", "of_read", "of_write"),
    [
        ({}, OK, OK),
        ({"If-Match": "*"}, NOT_MET, NOT_MET),
        ({"If-Match": '"0x2"'}, NOT_MET, NOT_MET),
        ({"If-None-Match": "*"}, UNSATISFIABLE, OK),
        ({"If-None-Match": '"0x2"'}, OK, OK),
        ({"If-Modified-Since": LATER}, OK, OK),
        ({"If-Unmodified-Since": EARLIER}, OK, OK),
    ],
    ids=str,
)
def test_over_nothing(headers: dict[str, str], of_read: int, of_write: int) -> None:
    asked = conditions(headers)
    assert (read(asked, None), write(asked, None)) == (of_read, of_write)


def test_a_copy_that_is_still_good_has_the_same_code_as_a_condition_not_met() -> None:
    with pytest.raises(NotModified) as caught:
        Conditions(if_none_match=('"0x2"',)).check_read(Version())
    assert (caught.value.status, caught.value.code) == (304, "ConditionNotMet")


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(Refusal, match="If-Modified-Since") as caught:
        conditions({"If-Modified-Since": "yesterday"})
    assert caught.value.code == "InvalidHeaderValue"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Range": "bytes=0-"}, (0, 10)),
        ({"Range": "bytes=2-5"}, (2, 6)),
        ({"Range": "bytes=9-9"}, (9, 10)),
        ({"Range": "bytes=5-99"}, (5, 10)),
        ({"Range": "bytes=0-1", "x-ms-range": "bytes=2-3"}, (2, 4)),
        ({"Range": "bytes=-2"}, None),
        ({"Range": "bytes=5-2"}, None),
        ({"Range": "lines=0-1"}, None),
    ],
    ids=str,
)
def test_a_range_of_ten_bytes(headers: dict[str, str], expected: tuple[int, int] | None) -> None:
    assert byte_range(headers, 10) == expected


@pytest.mark.parametrize(("asked", "length"), [("bytes=10-", 10), ("bytes=0-0", 0)])
def test_a_range_behind_the_end_is_refused(asked: str, length: int) -> None:
    with pytest.raises(Refusal) as caught:
        byte_range({"Range": asked}, length)
    assert (caught.value.status, caught.value.code) == (416, "InvalidRange")
