"""What the processor's annotation asks for, and what a body that is something else is told."""

from collections.abc import Callable
from functools import partial
from typing import Any, Optional

import pytest
from pydantic import BaseModel

from penstock_servicebus import UndecodableMessage
from penstock_servicebus._signature import Processor

CANARY = "CANARY"


class Item(BaseModel):
    sku: str
    count: int


class Order(BaseModel):
    items: list[Item]
    notes: dict[str, int] = {}


async def takes_nothing_said(message) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - what it is about
async def takes_text(message: str) -> None: ...
async def takes_quoted_text(message: "str") -> None: ...
async def takes_bytes(message: bytes) -> None: ...
async def takes_object(message: dict[str, Any]) -> None: ...
async def takes_order(message: Order) -> None: ...


class Worker:
    async def method(self, message: Order) -> None: ...

    async def __call__(self, message: dict[str, int]) -> None: ...


async def takes_two(option: str, message: bytes) -> None: ...


@pytest.mark.parametrize(
    ("processor", "body", "expected"),
    [
        (takes_nothing_said, "¿qué?".encode(), "¿qué?"),
        (takes_text, b"", ""),
        (takes_quoted_text, b"x", "x"),
        (takes_bytes, b"\xff\x00", b"\xff\x00"),
        (takes_object, b'{"a": [1, 2]}', {"a": [1, 2]}),
        (takes_order, b'{"items": [{"sku": "a", "count": 1}]}', Order(items=[Item(sku="a", count=1)])),
        (Worker().method, b'{"items": []}', Order(items=[])),
        (Worker(), b'{"a": 1}', {"a": 1}),
        (partial(takes_two, "option"), b"x", b"x"),
    ],
)
def test_the_annotation_decides(processor: Callable[..., Any], body: bytes, expected: object) -> None:
    assert Processor(processor).decode(body) == expected


@pytest.mark.parametrize(
    ("processor", "body", "text"),
    [
        (takes_text, b"abc\xff" + CANARY.encode(), "body is not UTF-8 text: UnicodeDecodeError at byte 3"),
        (takes_object, b"[1]", "body is not a JSON object: it is a JSON list"),
        (takes_object, b'{"CANARY', "body is not a JSON object: JSONDecodeError at character 1"),
        (takes_object, b"\xff\xfe\xff", "body is not a JSON object: UnicodeDecodeError"),
        (takes_object, b"[" * 100_000, "body is not a JSON object: RecursionError"),
        (takes_order, b"", "body is not a valid Order: ValidationError: body (json_invalid)"),
        (
            takes_order,
            b'{"items": [{"sku": "CANARY", "count": "CANARY"}], "notes": {"CANARY": "CANARY"}}',
            "body is not a valid Order: ValidationError: items.0.count (int_parsing), notes.* (int_parsing)",
        ),
        (
            takes_order,
            b'{"items": [1, 2, 3, 4, 5, 6, 7]}',
            (
                "body is not a valid Order: ValidationError: items.0 (model_type), items.1 (model_type), "
                "items.2 (model_type), items.3 (model_type), items.4 (model_type) and 2 more"
            ),
        ),
    ],
)
def test_a_body_that_is_something_else_is_told_by_types_and_places(
    processor: Callable[..., Any], body: bytes, text: str
) -> None:
    with pytest.raises(UndecodableMessage) as caught:
        Processor(processor).decode(body)

    assert str(caught.value) == text
    assert caught.value.permanent
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def not_async(message: str) -> None: ...
async def takes_number(message: int) -> None: ...
async def takes_either(message: Optional[str]) -> None: ...  # noqa: UP045 - as people write it
async def takes_the_unknown(message: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def takes_no_message() -> None: ...


@pytest.mark.parametrize(
    ("processor", "text"),
    [
        (not_async, "must be defined with async def"),
        (takes_number, "not int"),
        (takes_either, "must take str, bytes, dict or a class with model_validate_json"),
        (takes_the_unknown, "'Nowhere' cannot be resolved"),
        (takes_no_message, "must take the message as its first argument"),
    ],
)
def test_a_processor_that_cannot_work_is_refused_at_once(processor: Callable[..., Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Processor(processor)
