from penstock_token_client.accounting import Grant, Ledger, Limits, Order, Sharing, Waiter, WaitQueue

LIMITS = Limits(tpm=1000, rpm=48, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125)
GAP = 0.1875  # (1 + 0.125) / int(48 * 1 / 8)
HOLD = 0.25
TTL = 5.0


def queue() -> WaitQueue:
    return WaitQueue(Ledger(LIMITS, instance="test"), instance="test", sharing=Sharing(hold=HOLD, ticket_ttl=TTL))


def order(tokens: int, *, app: str = "app", key: str | None = None) -> Order:
    return Order(app=app, tokens=tokens, key=key)


def granted(line: WaitQueue, now: float) -> list[Waiter]:
    return [waiter for waiter, _ in line.grants(now)]


def test_nobody_passes_the_head_who_would_delay_it_even_if_it_would_fit() -> None:
    line = queue()
    line.grant_now(order(800), 0.0)
    large, small = line.join(order(900), 1.0), line.join(order(101), 1.0)

    assert line.grant_now(order(10), 1.0) is None
    assert granted(line, 1.0) == []
    assert line.wake_at(1.0) == 8.25
    assert granted(line, 8.25) == [large]
    assert granted(line, 16.5) == [small]


def test_a_smaller_order_of_the_same_app_passes_a_head_whose_start_it_leaves_where_it_is() -> None:
    line = queue()
    line.grant_now(order(800), 0.0)
    large, _, small = line.join(order(900), 1.0), line.join(order(101), 1.0), line.join(order(100), 1.0)

    assert granted(line, 1.0) == [small]
    assert line.wake_at(1.0) == 8.25
    assert granted(line, 8.25) == [large]


def test_those_who_waited_start_evenly_spaced_and_not_in_a_burst() -> None:
    line = queue()
    for _ in range(6):
        line.grant_now(order(1), 0.0)
    waiters = [line.join(order(1), 0.5) for _ in range(3)]

    assert granted(line, 1.125) == waiters[:1]
    assert line.wake_at(1.125) == 1.125 + GAP
    assert granted(line, 1.125 + GAP) == waiters[1:2]
    assert granted(line, 1.125 + 2 * GAP) == waiters[2:]


def test_who_need_not_wait_starts_at_once() -> None:
    line = queue()

    assert all(line.grant_now(order(1), 0.0) for _ in range(6))


def test_a_ticket_keeps_the_place_between_two_polls() -> None:
    line = queue()
    line.grant_now(order(1000), 0.0)
    first, second = line.join(order(600), 1.0), line.join(order(600), 1.0)
    line.step_out(first, 2.0)

    assert line.join(order(600), 3.0, first.ticket) is first
    assert line.position(second) == 1
    assert granted(line, 8.25) == [first]


def test_a_key_keeps_the_place_when_the_answer_with_the_ticket_was_lost() -> None:
    line = queue()
    line.grant_now(order(1000), 0.0)
    first = line.join(order(600, key="k"), 1.0)
    line.step_out(first, 2.0)

    assert line.join(order(600, key="k"), 3.0) is first


def test_a_ticket_is_good_for_what_it_was_given_for_only() -> None:
    line = queue()
    line.grant_now(order(1000), 0.0)
    first = line.join(order(600), 1.0)
    line.step_out(first, 2.0)

    assert line.join(order(601), 3.0, first.ticket) is not first
    assert line.join(order(600, app="another"), 3.0, first.ticket) is not first


def test_the_line_is_held_for_a_head_that_just_stepped_out_and_then_passes_it() -> None:
    line = queue()
    line.grant_now(order(1000), 0.0)
    first, second = line.join(order(600), 1.0), line.join(order(600), 1.0)
    line.step_out(first, 8.25)

    assert granted(line, 8.25) == []
    assert line.wake_at(8.25) == 8.25 + HOLD
    assert granted(line, 8.25 + HOLD) == [second]


def test_a_vanished_caller_is_forgotten() -> None:
    line = queue()
    line.grant_now(order(1000), 0.0)
    first = line.join(order(600), 1.0)
    line.step_out(first, 1.0)

    assert len(line) == 0
    assert line.wake_at(1.0 + TTL) is None
    assert line.join(order(600), 1.0 + TTL, first.ticket) is not first


def test_a_caller_whose_charge_stands_passes_the_line() -> None:
    line = queue()
    first = line.grant_now(order(900, key="k"), 0.0)
    line.join(order(600), 1.0)
    again = line.grant_now(order(900, key="k"), 1.0)

    assert isinstance(first, Grant)
    assert isinstance(again, Grant)
    assert again.id == first.id
