"""Deterministic blob names: the same path always gets the same, usable name."""

import hashlib
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_blob_uploader import InvalidBlobNameError
from penstock_blob_uploader._naming import MAX_CHARACTERS, NameTemplate, blob_name_for, check_blob_name

FILE_NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=[], min_codepoint=1), min_size=1, max_size=300
).filter(lambda name: name not in {".", ".."})


MODIFIED = 1_795_651_199_999_999_999  # 2026-11-25, 23:59:59 UTC


def named(path: PurePosixPath, template: str = "{app}/{name}", *, app_name: str | None = None) -> str:
    return NameTemplate(template).name_for(path, MODIFIED, app_name=app_name)


def test_a_file_is_called_by_its_file_name() -> None:
    assert named(PurePosixPath("/var/data/report.pdf")) == "report.pdf"


def test_the_app_name_comes_before_the_file_name() -> None:
    assert named(PurePosixPath("/var/data/report.pdf"), app_name="feedback") == "feedback/report.pdf"


def test_a_name_you_choose_is_taken_as_it_is() -> None:
    assert blob_name_for("2026/11/ü 100%.pdf") == "2026/11/ü 100%.pdf"


def test_the_app_name_comes_before_a_name_you_choose() -> None:
    assert blob_name_for("a/b", app_name="team/app/") == "team/app/a/b"


@pytest.mark.parametrize(
    ("file_name", "blob_name"),
    [
        ("line\nbreak", "line%0Abreak"),
        ("back\\slash", "back%5Cslash"),
        ("dots..", "dots%2E%2E"),
        ("\udcff.bin", "%FF.bin"),
        ("100%", "100%"),
        ("emoji 🙂", "emoji 🙂"),
    ],
)
def test_what_a_file_name_may_hold_and_a_blob_name_may_not_is_percent_encoded(file_name: str, blob_name: str) -> None:
    assert named(PurePosixPath(file_name)) == blob_name


@given(FILE_NAMES, st.none() | st.just("app") | st.just("a" * 1000))
def test_every_file_name_gets_a_usable_name_always_the_same(file_name: str, app_name: str | None) -> None:
    path = PurePosixPath("/tmp") / file_name  # noqa: S108 - a path that is only named

    name = named(path, app_name=app_name)

    check_blob_name(name)
    assert len(name) <= MAX_CHARACTERS
    assert name == named(path, app_name=app_name)


def test_two_long_names_that_differ_at_the_end_stay_two() -> None:
    long_app = "a" * 900
    first = named(PurePosixPath("f" * 200 + "1"), app_name=long_app)
    second = named(PurePosixPath("f" * 200 + "2"), app_name=long_app)

    assert first != second
    assert first.endswith(hashlib.sha256(f"{long_app}/{'f' * 200}1".encode()).hexdigest()[:16])


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "empty"),
        ("x" * 1025, "1024 characters"),
        ("/".join("x" * 255), "254 path segments"),
        ("/rooted", "empty path segment"),
        ("a//b", "empty path segment"),
        ("a/", "empty path segment"),
        ("../up", "ends with a dot"),
        ("a./b", "ends with a dot"),
        ("a\\b", "backslash"),
        ("a\x00b", "character"),
        ("a\x85b", "character"),
        ("\ud800", "character"),
        ("\ufffe", "character"),
    ],
)
def test_a_name_you_choose_that_cannot_be_used_is_refused_and_the_rule_named(name: str, rule: str) -> None:
    with pytest.raises(InvalidBlobNameError, match=rule) as refusal:
        blob_name_for(name)

    assert refusal.value.permanent


def test_a_template_names_a_file_by_what_is_known_of_it() -> None:
    template = "{app}/{year}/{date}T{hour}/{folder}/{stem}-{month}{day}{suffix}"

    name = named(PurePosixPath("/var/data/report.v2.pdf"), template, app_name="feedback")

    assert name == "feedback/2026/2026-11-25T23/data/report.v2-1125.pdf"


def test_a_segment_that_comes_out_empty_is_left_out() -> None:
    assert named(PurePosixPath("/report.pdf"), "logs/{app}/{folder}/{name}") == "logs/report.pdf"


def test_a_brace_is_written_twice() -> None:
    assert named(PurePosixPath("/a"), "{{x}}/{name}") == "{x}/a"


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{name}/{pid}", r"no field 'pid': there are app, name, stem"),
        ("{name!r}", "no field 'name!r'"),
        ("{name:>10}", "no field 'name:>10'"),
        ("{name.__class__}", "no field 'name.__class__'"),
        ("{}", "no field ''"),
        ("{app}/{date}", "same name"),
        ("{name", "literal brace twice"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_at_once(template: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        NameTemplate(template)


def test_a_time_in_no_calendar_is_a_name_that_cannot_be_made() -> None:
    with pytest.raises(InvalidBlobNameError, match="calendar"):
        NameTemplate("{date}/{name}").name_for(PurePosixPath("/a"), 2**80)
