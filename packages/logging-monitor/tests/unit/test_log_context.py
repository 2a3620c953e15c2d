"""What records say about the work they belong to."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from penstock_logging_monitor import ContextFilter, JsonFormatter, TextFormatter, log_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Logs

message_id: ContextVar[str] = ContextVar("message_id", default="")
unset: ContextVar[str] = ContextVar("unset")
CURRENT = "shop-w.current.log"


def fields(logs: Logs) -> list[dict[str, Any]]:
    known = {"ts", "level", "logger", "message"}
    lines = logs.lines(logs.directory / CURRENT)[1:]
    return [{name: value for name, value in line.items() if name not in known} for line in lines]


@pytest.fixture(autouse=True)
def no_message() -> Iterator[None]:
    token = message_id.set("")
    yield
    message_id.reset(token)


@pytest.fixture
def writer(logs: Logs) -> logging.Handler:
    return logs.writer("w", context=ContextFilter(message_id, unset))


def test_fields_of_the_context_are_in_every_record_of_the_block(logs: Logs, writer: logging.Handler) -> None:
    with log_context(order="o-17"):
        logs.say(writer, "inside")
        with log_context(line=3):
            logs.say(writer, "deeper")
    logs.say(writer, "outside")

    assert fields(logs) == [{"order": "o-17"}, {"order": "o-17", "line": 3}, {}]


async def test_each_task_has_its_own_context(logs: Logs, writer: logging.Handler) -> None:
    async def work(number: int) -> None:
        with log_context(number=number):
            await asyncio.sleep(0)
            logs.say(writer, f"of {number}")

    await asyncio.gather(work(1), work(2))

    assert fields(logs) == [{"number": 1}, {"number": 2}]


def test_variables_are_in_the_record_while_they_have_a_value(logs: Logs, writer: logging.Handler) -> None:
    logs.say(writer, "before")
    token = message_id.set("m-1")
    logs.say(writer, "during")
    message_id.reset(token)

    assert fields(logs) == [{}, {"message_id": "m-1"}]


def test_extra_wins_over_the_context(logs: Logs, writer: logging.Handler) -> None:
    message_id.set("m-1")
    with log_context(order="o-17"):
        logs.say(writer, "said otherwise", order="o-18", message_id="m-2")

    assert fields(logs) == [{"order": "o-18", "message_id": "m-2"}]


def test_the_current_span_is_named(logs: Logs, writer: logging.Handler) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        logs.say(writer, "inside")
    logs.say(writer, "outside")

    context = span.get_span_context()
    assert fields(logs) == [{"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}, {}]


def test_any_formatter_can_ask_for_a_variable(logs: Logs, writer: logging.Handler) -> None:
    writer.setFormatter(logging.Formatter("[%(message_id)s%(unset)s] %(message)s"))
    logs.say(writer, "before")
    message_id.set("m-1")
    logs.say(writer, "during")

    assert (logs.directory / CURRENT).read_text().splitlines()[1:] == ["[] before", "[m-1] during"]


def test_the_filter_serves_handlers_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    theirs = logging.StreamHandler()
    theirs.addFilter(ContextFilter())
    theirs.setFormatter(TextFormatter())
    with log_context(order="o-17"):
        theirs.handle(logging.makeLogRecord({"msg": "hello"}))

    assert capsys.readouterr().err.endswith(": hello order=o-17\n")


@pytest.mark.parametrize("name", ["name", "message", "args", "levelname"])
def test_a_name_that_every_record_has_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name), log_context(**{name: "mine"}):
        pass
    with pytest.raises(ValueError, match=name):
        ContextFilter(ContextVar(name))


def test_a_formatter_of_ones_own_is_asked_also_if_it_descends_from_ours(logs: Logs, writer: logging.Handler) -> None:
    class Mine(JsonFormatter):
        def format(self, record: logging.LogRecord) -> str:
            return super().format(record).replace("hello", "goodbye")

    writer.setFormatter(Mine())
    logs.say(writer, "hello")

    assert logs.messages() == ["goodbye"]
