"""What Azure's headers and refusals make a pool do, told through the pool alone."""

import pytest

from penstock_token_client.accounting import Limits, NeverFitsError, Order, Pool, RateLimit, Usage

LIMITS = Limits(tpm=1000, rpm=600, headroom=0.0)
TEN_MINUTES = 600.0


def pool(limits: Limits = LIMITS) -> Pool:
    return Pool(limits, instance="test", now=0.0)


def order(tokens: int) -> Order:
    return Order(app="app", tokens=tokens)


def answered(book: Pool, now: float, *, tokens: int = 10, status: str = "ok", **said: int) -> None:
    grant = book.grant_now(order(tokens), now)
    assert grant is not None
    usage = Usage(prompt_tokens=tokens, completion_tokens=0, status=status, ratelimit=RateLimit(**said))  # type: ignore[arg-type]
    assert book.settle(grant.id, usage, now)


def test_a_lower_limit_holds_until_a_higher_one_is_named() -> None:
    book = pool()

    answered(book, 0.0, limit_tokens=400)
    answered(book, 1.0, limit_tokens=500)
    assert book.status(2.0)["effective_tpm"] == 500
    assert book.grant_now(order(490), 2.0) is None
    answered(book, 3.0, limit_tokens=5000)

    assert book.status(4.0)["effective_tpm"] == 1000
    assert book.grant_now(order(490), 4.0) is not None


def test_a_lower_limit_is_forgotten_after_ten_minutes_of_silence() -> None:
    book = pool()

    answered(book, 0.0, limit_tokens=400)

    assert book.status(TEN_MINUTES - 2)["effective_tpm"] == 400
    assert book.status(TEN_MINUTES + 2)["effective_tpm"] == 1000


def test_a_limit_of_zero_says_nothing() -> None:
    headers = {"x-ratelimit-limit-tokens": "0", "X-RateLimit-Remaining-Tokens": "7", "x-ratelimit-limit-requests": "-1"}

    assert RateLimit.from_headers(headers) == RateLimit(remaining_tokens=7)


def test_seconds_are_read_where_there_are_no_milliseconds() -> None:
    assert RateLimit.from_headers({"Retry-After": "3"}).retry_after_ms == 3000
    assert RateLimit.from_headers({"retry-after-ms": "20", "Retry-After": "3"}).retry_after_ms == 20


def test_an_order_above_the_limit_in_force_goes_alone_and_is_not_refused_for_good() -> None:
    book = pool()
    answered(book, 0.0, limit_tokens=400)

    assert book.grant_now(order(700), 1.0) is None
    assert book.ledger.earliest(order(700), 1.0) == 60.25
    assert book.grant_now(order(700), 60.25) is not None
    with pytest.raises(NeverFitsError):
        book.grant_now(order(1001), 200.0)


def test_a_refusal_pauses_the_pool_as_long_as_it_asks_for_and_keeps_the_line() -> None:
    book = pool()
    answered(book, 0.0, status="429", retry_after_ms=20_000, remaining_tokens=500)

    assert book.grant_now(order(1), 1.0) is None
    waiter = book.queue.join(order(1), 1.0)

    assert book.status(1.0)["paused_seconds"] == 19.0
    assert book.queue.wake_at(1.0) == 20.0
    assert [who for who, _ in book.grants(20.0)] == [waiter]


def test_no_pause_is_longer_than_a_window() -> None:
    book = pool()

    answered(book, 0.0, status="429", retry_after_ms=86_400_000)

    assert book.status(0.0)["paused_seconds"] == 60.0


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("tokens", {"remaining_tokens": 5, "retry_after_ms": 20_000}),
        ("tokens", {"remaining_tokens": 5, "retry_after_ms": 500}),
        ("tokens", {"retry_after_ms": 20_000}),
        ("tokens", {}),
        ("requests", {"remaining_tokens": 500, "retry_after_ms": 700}),
        ("requests", {"retry_after_ms": 700}),
        ("other", {"remaining_tokens": 500, "retry_after_ms": 20_000}),
    ],
)
def test_refusals_are_counted_by_what_they_were_for(cause: str, said: dict[str, int]) -> None:
    book = pool()

    answered(book, 0.0, status="429", **said)

    facts = book.status(0.0)
    assert facts["http_429"] == 1
    assert facts["http_429_by_cause"] == {"tokens": 0, "requests": 0, "other": 0} | {cause: 1}


def test_a_refusal_for_requests_widens_the_margin_of_the_sub_window_which_shrinks_again() -> None:
    book = pool()
    widths = [book.status(0.0)["sub_margin_seconds"]]

    for second in (10, 20, 30):
        answered(book, second, status="429", remaining_tokens=900, retry_after_ms=100)
        widths.append(book.status(second)["sub_margin_seconds"])
    widths.append(book.status(30 + TEN_MINUTES)["sub_margin_seconds"])

    assert widths == pytest.approx([0.1, 0.15, 0.2, 0.3, 0.1], abs=0.01)
    assert book.status(30.0)["margin_seconds"] == 0.25


def test_refusals_of_one_burst_widen_the_margin_once() -> None:
    book = pool()

    for _ in range(5):
        grant = book.ledger.grant(order(10), 0.0)
        usage = Usage(prompt_tokens=0, completion_tokens=0, status="429", ratelimit=RateLimit(retry_after_ms=100))
        book.settle(grant.id, usage, 0.5)

    assert book.status(0.5)["sub_margin_seconds"] == pytest.approx(0.15)


def test_a_refusal_for_tokens_widens_the_margin_and_holds_back_one_percent_for_a_while() -> None:
    book = pool()

    answered(book, 0.0, status="429", remaining_tokens=0, retry_after_ms=100)

    assert book.status(0.0)["margin_seconds"] == pytest.approx(0.3)
    assert book.status(0.0)["effective_tpm"] == 990
    assert book.status(TEN_MINUTES)["effective_tpm"] == 1000
    assert book.status(TEN_MINUTES)["margin_seconds"] == 0.25


def test_only_the_first_report_of_a_grant_teaches() -> None:
    book = pool()
    grant = book.grant_now(order(10), 0.0)
    assert grant is not None
    usage = Usage(prompt_tokens=0, completion_tokens=0, status="429")

    assert book.settle(grant.id, usage, 0.0)
    assert book.settle(grant.id, usage, 0.0)
    assert not book.settle("unknown-1", usage, 0.0)

    assert book.status(0.0)["http_429"] == 1


def test_what_was_heard_goes_on_in_the_next_process() -> None:
    book = pool()
    answered(book, 0.0, limit_tokens=400)
    answered(book, 1.0, status="429", remaining_tokens=900, retry_after_ms=30_000)

    after = Pool(LIMITS, instance="next", now=2.0)
    after.restore(book.ledger.charges(2.0), book.loop.lesson(), 2.0)

    assert after.status(2.0)["effective_tpm"] == 400
    assert after.status(2.0)["paused_seconds"] == 29.0
    assert after.ledger.tokens == book.ledger.tokens
