"""How a record looks: flat JSON for machines, text for people."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

import pytest

from penstock_logging_monitor import JsonFormatter, TextFormatter

NOON = 1_772_366_400.00025


def record(**facts: Any) -> logging.LogRecord:
    plain = {"name": "shop.cart", "levelname": "INFO", "msg": "sold %d", "args": (3,), "created": NOON}
    return logging.makeLogRecord(plain | facts)


def as_json(**facts: Any) -> Any:
    line = JsonFormatter().format(record(**facts))
    assert "\n" not in line
    return json.loads(line)


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
        (float("nan"), "nan"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        ({"a": {1}}, {"a": "{1}"}),
        (b"bytes", "b'bytes'"),
    ],
)
def test_what_json_cannot_hold_is_written_as_text(value: object, written: object) -> None:
    fields = as_json(odd=value, good=1)

    assert fields["odd"] == written
    assert fields["good"] == 1


def test_a_circle_is_written_as_text() -> None:
    circle: dict[str, object] = {}
    circle["self"] = circle

    assert as_json(circle=circle)["circle"] == "{'self': {...}}"


def test_text_names_time_level_logger_and_message() -> None:
    assert TextFormatter().format(record()) == "2026-03-01T12:00:00.000250Z INFO     shop.cart: sold 3"


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
