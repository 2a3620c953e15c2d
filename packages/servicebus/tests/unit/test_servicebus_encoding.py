"""What a processor may return."""

import math
from typing import Any

import pytest
from pydantic import BaseModel

from penstock_servicebus import UnsendableResult
from penstock_servicebus._encoding import Payload, encode_results


class Answer(BaseModel):
    text: str


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, []),
        ("¿qué?", [Payload("¿qué?".encode(), "text/plain")]),
        (b"\xff", [Payload(b"\xff")]),
        ({"a": "é"}, [Payload('{"a": "é"}'.encode(), "application/json")]),
        (Answer(text="x"), [Payload(b'{"text":"x"}', "application/json")]),
        (["a", b"b"], [Payload(b"a", "text/plain"), Payload(b"b")]),
        ([], []),
    ],
)
def test_results_become_payloads(result: Any, expected: list[Payload]) -> None:
    assert encode_results(result) == expected


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (1, "cannot send a result of type int"),
        ([["nested"]], "cannot send a result of type list"),
        ([None], "cannot send a result of type NoneType"),
        ({"CANARY": object()}, "cannot send a result of type dict: TypeError"),
        ({"CANARY": math.nan}, "cannot send a result of type dict: ValueError"),
        ("CANARY\ud800", "cannot send a result of type str: UnicodeEncodeError"),
    ],
)
def test_what_cannot_be_sent_is_permanent_and_named_by_type(result: Any, text: str) -> None:
    with pytest.raises(UnsendableResult, match=text) as caught:
        encode_results(result)

    assert caught.value.permanent
    assert "CANARY" not in str(caught.value)
    assert caught.value.__context__ is None
