from __future__ import annotations

import json
from typing import Any

import pytest

from penstock_token_client import Limits
from penstock_token_client.accounting import Gate, Order, RateLimit, Usage
from penstock_token_counter._history import COLUMNS, History

LIMITS = Limits(tpm=1000, rpm=600, sub_window=10.0, headroom=0.0)


class Pool:
    """A pool whose status a history keeps."""

    def __init__(self, name: str = "completion") -> None:
        self.name = name
        self.gate = Gate(LIMITS, clock=lambda: 100.0)

    def grant(self, tokens: int, app: str = "a") -> str:
        grant = self.gate.try_now(Order(app=app, tokens=tokens))
        assert grant is not None
        return grant.id

    def status(self) -> dict[str, Any]:
        return {"pool": self.name, **self.gate.status()}


def data(event: bytes) -> dict[str, Any]:
    """Read what an event says."""
    (line,) = [line for line in event.decode().splitlines() if line.startswith("data: ")]
    body: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return body


def samples(history: History, seen: int = 0) -> list[dict[str, Any]]:
    """Return the samples that a reader lacks."""
    found: list[dict[str, Any]] = data(history.event(seen))["samples"]
    return found


def numbers(history: History, pool: str = "completion") -> dict[str, float]:
    """Return the newest sample of a pool."""
    return dict(zip(COLUMNS, samples(history)[-1]["pools"][pool], strict=True))


async def test_a_sample_says_how_a_pool_stands() -> None:
    pool, history = Pool(), History()
    pool.grant(300)

    history.add(7.0, [pool.status()])

    assert numbers(history) == {
        "tokens": 300,
        "tpm": 1000,
        "requests": 1,
        "rpm": 600,
        "waiting": 0,
        "grants": 0,
        "http_429": 0,
        "unaccounted": 0,
        "paused": 0.0,
    }


async def test_a_sample_counts_what_happened_since_the_one_before() -> None:
    pool, history = Pool(), History()
    pool.grant(300)
    history.add(7.0, [pool.status()])
    refused = pool.grant(100)
    pool.grant(100)
    pool.gate.settle(
        refused,
        Usage(prompt_tokens=0, completion_tokens=0, status="429", ratelimit=RateLimit(retry_after_ms=4000)),
    )

    history.add(8.0, [pool.status()])

    assert (numbers(history)["grants"], numbers(history)["http_429"], numbers(history)["paused"]) == (2, 1, 4.0)


async def test_the_oldest_samples_are_forgotten() -> None:
    pool, history = Pool(), History(3)

    for second in range(5):
        history.add(second, [pool.status()])

    assert [sample["at"] for sample in samples(history)] == [2, 3, 4]
    assert [sample["at"] for sample in samples(history, seen=1)] == [2, 3, 4]
    assert [sample["at"] for sample in samples(history, seen=4)] == [4]
    assert samples(history, seen=5) == []


async def test_an_event_brings_any_reader_up_to_date() -> None:
    pool, history = Pool(), History(name="me")
    for second in range(3):
        history.add(second, [pool.status()])

    everything, newest, nothing = (data(history.event(seen)) for seen in (0, 2, 3))

    assert [sample["at"] for sample in everything["samples"]] == [0, 1, 2]
    assert [sample["at"] for sample in newest["samples"]] == [2]
    assert nothing["samples"] == []
    assert everything["columns"] == list(COLUMNS)
    assert everything["pools"] == newest["pools"] == nothing["pools"]
    assert history.event(2).startswith(b"id: me-3\n")
    assert history.event(2).endswith(b"\n\n")


async def test_an_event_shows_the_samples_that_came_after_the_last_one() -> None:
    pool, history = Pool(), History()
    history.add(1.0, [pool.status()])
    history.event(1)

    history.add(2.0, [pool.status()])

    assert [sample["at"] for sample in samples(history, seen=1)] == [2.0]


@pytest.mark.parametrize(
    ("event_id", "seen"),
    [
        ("me-2", 2),
        ("me-0", 0),
        ("me-4", 0),
        ("another-2", 0),
        ("me-", 0),
        ("me--1", 0),
        ("me-²", 0),
        ("me-" + "9" * 5000, 0),
        ("2", 0),
        ("", 0),
    ],
)
async def test_an_id_that_is_none_of_ours_has_seen_nothing(event_id: str, seen: int) -> None:
    pool, history = Pool(), History(name="me")
    for second in range(3):
        history.add(second, [pool.status()])

    assert history.seen(event_id) == seen


async def test_an_event_names_the_apps_that_matter_most_and_counts_the_others() -> None:
    pool, history = Pool(), History()
    for number in range(55):
        pool.grant(1 + number % 7, app=f"app-{number}")
    waiting = [pool.gate.join(Order(app="z", tokens=1000)), pool.gate.join(Order(app="y", tokens=1000))]
    waiting.append(pool.gate.join(Order(app="y", tokens=1000)))

    history.add(1.0, [pool.status()])
    pool.gate.close()

    (shown,) = data(history.event(0))["pools"]
    assert [(app["app"], app["waiting"]) for app in shown["apps"][:3]] == [("y", 2), ("z", 1), ("app-13", 0)]
    assert (len(shown["apps"]), shown["apps_total"]) == (50, 57)
    assert "queue" not in shown
    assert len(waiting) == 3


async def test_each_pool_has_its_numbers() -> None:
    one, other, history = Pool("one"), Pool("other"), History()
    other.grant(250)

    history.add(1.0, [one.status(), other.status()])

    assert (numbers(history, "one")["tokens"], numbers(history, "other")["tokens"]) == (0, 250)
