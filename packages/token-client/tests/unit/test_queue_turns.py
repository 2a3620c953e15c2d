"""Apps take turns, a head is passed only without harm, and places outlive polls and restarts."""

from __future__ import annotations

import pytest

from penstock_token_client.accounting import Ledger, Limits, Order, QueueFullError, Sharing, Waiter, WaitQueue

LIMITS = Limits(tpm=1000, rpm=48, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125)
GAP = 0.1875  # (1 + 0.125) / int(48 * 1 / 8)


def queue(*, instance: str = "old", epoch: float = 0.0, **sharing: object) -> WaitQueue:
    ledger = Ledger(LIMITS, instance=instance)
    return WaitQueue(ledger, instance=instance, sharing=Sharing(**sharing), epoch=epoch)  # type: ignore[arg-type]


def order(app: str, tokens: int) -> Order:
    return Order(app=app, tokens=tokens)


def granted(line: WaitQueue, now: float) -> list[Waiter]:
    return [waiter for waiter, _ in line.grants(now)]


def served(line: WaitQueue, now: float, count: int) -> str:
    apps = ""
    while len(apps) < count:
        now = max(now, line.wake_at(now) or now)
        apps += "".join(waiter.order.app for waiter in granted(line, now))
    return apps


def test_apps_take_turns_by_weight() -> None:
    line = queue(weights={"b": 3})
    line.grant_now(order("a", 1000), 0.0)
    for app in "aaaaabbbbbbbbb":
        line.join(order(app, 60), 1.0)

    assert served(line, 1.0, 8).count("b") == 6


def test_an_app_that_rested_is_owed_nothing() -> None:
    line = queue()
    line.grant_now(order("a", 1000), 0.0)
    for _ in range(20):
        line.join(order("a", 60), 1.0)
    served(line, 1.0, 12)
    for _ in range(20):
        line.join(order("b", 60), 12.0)

    assert served(line, 12.0, 6).count("a") == 3


def test_a_smaller_order_of_another_app_passes_a_head_that_does_not_fit() -> None:
    line = queue()
    line.grant_now(order("a", 800), 0.0)
    large, small = line.join(order("a", 500), 1.0), line.join(order("b", 200), 1.0)

    assert granted(line, 1.0) == [small]
    assert granted(line, 8.25) == [large]


def test_an_order_that_fits_now_but_not_beside_the_head_waits() -> None:
    line = queue()
    line.grant_now(order("a", 800), 0.0)
    large, small = line.join(order("a", 900), 1.0), line.join(order("b", 150), 1.0)

    assert granted(line, 1.0) == []
    assert granted(line, 8.25) == [large]
    assert line.position(small) == 0


@pytest.mark.parametrize(("before", "passes"), [(GAP, True), (GAP / 2, False)])
def test_nobody_passes_so_late_that_the_head_would_have_to_keep_its_distance(before: float, *, passes: bool) -> None:
    line = queue()
    line.grant_now(order("a", 800), 0.0)
    line.join(order("a", 500), 1.0)
    small = line.join(order("b", 10), 8.25 - before)

    assert granted(line, 8.25 - before) == ([small] if passes else [])


def test_the_line_wakes_for_one_that_may_pass_later() -> None:
    line = queue()
    for _ in range(6):
        line.grant_now(order("a", 130), 0.0)
    line.join(order("a", 500), 0.5)
    small = line.join(order("b", 10), 0.5)

    assert line.wake_at(0.5) == 1.125
    assert granted(line, 1.125) == [small]


def test_a_full_line_takes_nobody_else_of_the_app_and_keeps_no_other_out() -> None:
    line = queue(max_depth=2)
    line.grant_now(order("a", 1000), 0.0)
    first, second = (line.join(order("a", 10), 1.0) for _ in range(2))

    with pytest.raises(QueueFullError):
        line.join(order("a", 10), 1.0)
    line.join(order("b", 10), 1.0)
    assert line.join(order("a", 10), 1.0, second.ticket) is second

    line.step_out(first, 1.0)
    line.join(order("a", 10), 6.0)
    assert line.depths() == {"a": 2, "b": 1}


def test_a_place_ends_at_its_deadline() -> None:
    line = queue()
    line.grant_now(order("a", 1000), 0.0)
    line.join(order("a", 1000), 1.0, deadline=2.0)
    patient = line.join(order("a", 10), 1.0)

    assert line.wake_at(1.0) == 2.0
    assert line.head(2.0) is patient


def test_tickets_keep_the_order_of_arrival_over_a_restart() -> None:
    old = queue(epoch=1000.0)
    old.grant_now(order("a", 1000), 0.0)
    tickets = [old.join(order("a", 600), at).ticket for at in (1.0, 1.0, 2.0)]

    new = queue(instance="new", epoch=1003.0)
    new.grant_now(order("a", 1000), 0.0)
    newcomer = new.join(order("a", 600), 0.5)
    third, first, second = (new.join(order("a", 600), 0.75, tickets[number]) for number in (2, 0, 1))

    assert [new.position(waiter) for waiter in (first, second, third, newcomer)] == [0, 1, 2, 3]
    assert [waiter.ticket for waiter in (first, second, third)] == tickets


@pytest.mark.parametrize("ticket", ["", "old", "old-fffffffffffe-1", "old-1-", "new-1-1", "old-1-1-1"])
def test_a_ticket_that_says_nothing_here_is_as_good_as_none(ticket: str) -> None:
    line = queue(instance="new")
    line.grant_now(order("a", 1000), 0.0)
    line.join(order("a", 600), 1.0)

    assert line.position(line.join(order("a", 600), 2.0, ticket)) == 1


def test_a_ticket_that_comes_back_long_after_the_restart_is_forgotten() -> None:
    line = queue(instance="new")
    line.grant_now(order("a", 1000), 59.0)
    line.join(order("a", 600), 60.0)

    assert line.position(line.join(order("a", 600), 60.0, "old-1-1")) == 1


@pytest.mark.parametrize(
    ("sharing", "said"),
    [
        ({"weights": {"a": 0}}, "'a'"),
        ({"weights": {"a": float("nan")}}, "'a'"),
        ({"weights": {"a": True}}, "'a'"),
        ({"max_depth": 0}, "max_depth"),
        ({"ticket_ttl": -1}, "ticket_ttl"),
    ],
)
def test_sharing_refuses_what_would_keep_somebody_waiting_for_ever(sharing: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Sharing(**sharing)  # type: ignore[arg-type]
