from __future__ import annotations

from typing import Any

from penstock_token_client import Limits
from penstock_token_client.accounting import Gate, Order, RateLimit, Usage
from penstock_token_counter._status_text import status_text

LIMITS = Limits(tpm=1000, rpm=60, sub_window=10.0, headroom=0.0)


def status(gate: Gate) -> dict[str, Any]:
    return {"pool": "completion", **gate.status()}


def granted(gate: Gate, tokens: int) -> str:
    grant = gate.try_now(Order(app="a", tokens=tokens))
    assert grant is not None
    return grant.id


async def test_a_pool_at_rest_is_three_lines() -> None:
    text = status_text([status(Gate(LIMITS))])

    assert text == (
        "completion: 0 % of the window used, nobody waiting\n"
        "  tokens    ░░░░░░░░░░░░░░░░░░░░░░░░  0 of 1,000, 0 in flight\n"
        "  requests  ░░░░░░░░░░░░░░░░░░░░░░░░  0 of 60\n"
    )


async def test_use_is_drawn_as_bars() -> None:
    gate = Gate(LIMITS)
    granted(gate, 500)

    text = status_text([status(gate)], blocks=False)

    assert "50 % of the window used" in text
    assert "############------------  500 of 1,000, 500 in flight" in text
    assert "#-----------------------  1 of 60" in text
    assert text.isascii()


async def test_a_window_is_full_only_when_nothing_is_free() -> None:
    gate = Gate(LIMITS)
    granted(gate, 999)

    assert "99 % of the window used" in status_text([status(gate)])


async def test_who_waits_is_listed_the_longest_queue_first() -> None:
    now = [100.0]
    gate = Gate(LIMITS, clock=lambda: now[0])
    granted(gate, 1000)
    for app in ("grading", "feedback", "feedback", "n" * 40):
        gate.join(Order(app=app, tokens=1000))
    now[0] += 12.34

    text = status_text([status(gate)], blocks=False)
    gate.close()

    assert "100 % of the window used, 4 waiting\n" in text
    assert text.splitlines()[3:] == [
        "    feedback                  ########################  2 waiting, 12.3 s at most",
        "    grading                   ############              1 waiting, 12.3 s at most",
        "    nnnnnnnnnnnnnnnnnnnnn...  ############              1 waiting, 12.3 s at most",
    ]


async def test_many_apps_are_counted_after_the_first_ten() -> None:
    gate = Gate(LIMITS)
    granted(gate, 1000)
    for number in range(13):
        gate.join(Order(app=f"app-{number:02}", tokens=1000))

    lines = status_text([status(gate)]).splitlines()
    gate.close()

    assert lines[-2].startswith("    app-09 ")
    assert lines[-1] == "    and 3 more apps"


async def test_what_is_out_of_the_ordinary_is_said() -> None:
    gate = Gate(LIMITS, clock=lambda: 100.0)
    heard = RateLimit(limit_tokens=800, retry_after_ms=12_000)
    gate.settle(granted(gate, 300), Usage(prompt_tokens=0, completion_tokens=0, status="429", ratelimit=heard))

    text = status_text([{**status(gate), "unaccounted_tokens": 70, "unreported": 2, "bias": 1.04}])

    assert "  paused    12.0 s left, as a 429 asked\n" in text
    assert "  lowered   configured are 1,000 tokens and 60 requests a minute\n" in text
    assert "  429s      1 seen since the start (" in text
    assert "  others    70 tokens a window are used by who does not ask\n" in text
    assert "  silent    2 grants were never reported\n" in text
    assert "  estimates Azure counts prompts 1.040 times as large, which is corrected\n" in text


async def test_pools_are_parted_by_an_empty_line() -> None:
    text = status_text([status(Gate(LIMITS)), status(Gate(LIMITS))])

    assert text.count("\n\ncompletion: ") == 1
