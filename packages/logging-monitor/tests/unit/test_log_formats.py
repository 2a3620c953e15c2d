"""How a record looks: flat JSON for machines, text for people."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock_logging_monitor import JsonFormatter, TextFormatter

NOON = 1_772_366_400.00025


def record(**facts: Any) -> logging.LogRecord:
    plain = {"name": "shop.cart", "levelname": "INFO", "msg": "sold %d", "args": (3,), "created": NOON}
    return logging.makeLogRecord(plain | facts)


def as_json(**facts: Any) -> Any:
    """Write a record with and without orjson, and return it if both lines say the same."""
    with pytest.MonkeyPatch.context() as without:
        without.setitem(sys.modules, "orjson", None)
        plain = JsonFormatter()
    lines = [formatter.format(record(**facts)) for formatter in (JsonFormatter(), plain)]
    assert not any("\n" in line for line in lines)
    quick, standard = map(json.loads, lines)
    assert quick == standard
    return quick


def test_a_record_is_one_flat_object() -> None:
    assert as_json() == {
        "ts": "2026-03-01T12:00:00.000250Z",
        "level": "INFO",
        "logger": "shop.cart",
        "message": "sold 3",
    }


def test_extras_are_fields_beside_the_message() -> None:
    fields = as_json(sequence=7, customer={"id": "c-1"}, ok=None)

    assert (fields["sequence"], fields["customer"], fields["ok"]) == (7, {"id": "c-1"}, None)


def test_an_extra_never_replaces_a_field_of_ours() -> None:
    fields = as_json(ts="theirs", level="theirs", level_="theirs too")

    assert fields["ts"] == "2026-03-01T12:00:00.000250Z"
    assert fields["ts_"] == "theirs"
    assert {fields["level_"], fields["level__"]} == {"theirs", "theirs too"}


def test_an_exception_is_told_in_fields() -> None:
    try:
        os.environ["GONE"]
    except KeyError:
        fields = as_json(exc_info=sys.exc_info())

    assert fields["exc_type"] == "KeyError"
    assert fields["exc_message"] == "'GONE'"
    assert fields["exc_traceback"].startswith("Traceback (most recent call last)")


def test_an_exception_that_came_as_text_stays_text() -> None:
    assert as_json(exc_text="Traceback of another process")["exc_traceback"] == "Traceback of another process"


def test_a_stack_that_was_asked_for_is_a_field() -> None:
    assert as_json(stack_info="Stack (most recent call last):")["stack"] == "Stack (most recent call last):"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({(1, 2): 3}, "{(1, 2): 3}"),
        ({"a": {1}}, {"a": "{1}"}),
        (b"bytes", "b'bytes'"),
        (2**70, 2**70),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01 00:00:00+00:00"),
    ],
)
def test_what_json_cannot_hold_is_written_as_text(value: object, written: object) -> None:
    fields = as_json(odd=value, good=1)

    assert fields["odd"] == written
    assert fields["good"] == 1


def test_not_a_number_is_a_line_of_json_all_the_same() -> None:
    line = JsonFormatter().format(record(odd=float("nan"), good=1))

    assert json.loads(line)["good"] == 1
    assert json.loads(line)["odd"] in (None, "nan")


def test_a_circle_is_written_as_text() -> None:
    circle: dict[str, object] = {}
    circle["self"] = circle

    assert as_json(circle=circle)["circle"] == "{'self': {...}}"


def test_text_names_time_level_logger_and_message() -> None:
    assert TextFormatter().format(record()) == "2026-03-01T12:00:00.000250Z INFO     shop.cart: sold 3"


def test_text_shows_what_was_added_to_the_record() -> None:
    line = TextFormatter().format(record(order="o-17", note="two words", empty=""))

    assert line.endswith("shop.cart: sold 3 order=o-17 note='two words' empty=''")


def test_text_ends_with_the_traceback() -> None:
    try:
        os.environ["GONE"]
    except KeyError:
        first, second, *_, last = TextFormatter().format(record(exc_info=sys.exc_info())).splitlines()

    assert first.endswith("sold 3")
    assert second == "Traceback (most recent call last):"
    assert last == "KeyError: 'GONE'"


def test_colour_is_for_the_level_and_only_if_asked() -> None:
    assert "\x1b[32mINFO    \x1b[0m shop.cart" in TextFormatter(colour=True).format(record(levelno=logging.INFO))
    assert "\x1b" not in TextFormatter().format(record(levelno=logging.INFO))


def test_what_another_formatter_left_on_the_record_is_no_extra() -> None:
    seen = record()
    logging.Formatter("%(asctime)s %(message)s").format(seen)

    assert set(json.loads(JsonFormatter().format(seen))) == {"ts", "level", "logger", "message"}


def test_a_record_of_somebody_elses_class_keeps_its_attributes() -> None:
    class Theirs(logging.LogRecord):
        def __init__(self, *args: Any) -> None:
            self.tenant = "t-1"
            super().__init__(*args)

    theirs = Theirs("shop", logging.INFO, __file__, 1, "sold", (), None)

    assert json.loads(JsonFormatter().format(theirs))["tenant"] == "t-1"


def test_each_second_is_written_anew() -> None:
    formatter = TextFormatter()

    stamps = [formatter.format(record(created=NOON + step)).split()[0] for step in (0, 0.5, 1, 61, 0)]

    assert stamps == [
        "2026-03-01T12:00:00.000250Z",
        "2026-03-01T12:00:00.500250Z",
        "2026-03-01T12:00:01.000250Z",
        "2026-03-01T12:01:01.000250Z",
        "2026-03-01T12:00:00.000250Z",
    ]


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (NOON + 59.9999, "2026-03-01T12:01:00.000150Z"),
        (1_772_366_459.9999993, "2026-03-01T12:00:59.999999Z"),
        (1_772_366_459.9999998, "2026-03-01T12:01:00.000000Z"),
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (-0.5, "1969-12-31T23:59:59.500000Z"),
    ],
)
def test_a_moment_is_rounded_to_microseconds_also_into_the_next_minute(moment: float, written: str) -> None:
    formatter = TextFormatter()
    formatter.format(record())

    assert [formatter.format(record(created=moment)).split()[0] for _ in range(2)] == [written, written]
