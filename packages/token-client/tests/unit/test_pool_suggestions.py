"""Which max_tokens a pool suggests, and when it keeps quiet."""

import random

import pytest

from penstock_token_client.accounting import Limits, Order, Pool, Usage

LIMITS = Limits(tpm=100_000, rpm=6000, headroom=0.0, learn_max_tokens=0.95)


def answers(book: Pool, lengths: list[int], *, app: str = "app", status: str = "ok") -> None:
    for length in lengths:
        grant = book.ledger.grant(Order(app=app, tokens=200, max_tokens=100), 0.0)
        usage = Usage(prompt_tokens=100, completion_tokens=length, status=status)  # type: ignore[arg-type]
        book.settle(grant.id, usage, 0.0)


def fill(book: Pool) -> None:
    """Let tokens be what keeps callers waiting."""
    book.ledger.grant(Order(app="x", tokens=70_000), 0.0)


def test_the_suggestion_is_enough_for_the_asked_part_of_the_last_answers() -> None:
    book = Pool(LIMITS, instance="test", now=0.0)
    lengths = list(range(1, 101))
    random.Random(1).shuffle(lengths)

    answers(book, lengths)
    fill(book)

    suggestion = book.suggestion("app")
    assert suggestion is not None
    assert sum(length <= suggestion for length in lengths) / 100 == pytest.approx(0.95, abs=0.03)
    assert book.status(0.0)["suggested_max_tokens"] == {"app": suggestion}
    assert book.suggestion("another") is None


def test_nothing_is_suggested_from_few_answers() -> None:
    book = Pool(LIMITS, instance="test", now=0.0)

    answers(book, [10] * 40)
    fill(book)

    assert book.suggestion("app") is None


def test_nothing_is_suggested_unless_the_pool_asks_for_it() -> None:
    book = Pool(Limits(tpm=100_000, rpm=6000, headroom=0.0), instance="test", now=0.0)

    answers(book, [10] * 100)
    fill(book)

    assert book.suggestion("app") is None


def test_nothing_is_suggested_while_it_is_requests_that_bind() -> None:
    book = Pool(LIMITS, instance="test", now=0.0)

    answers(book, [10] * 100)
    assert book.suggestion("app") is None  # 20 % of the tokens are in use
    fill(book)
    assert book.suggestion("app") is not None
    book.ledger.grant(Order(app="x", tokens=0, requests=5899), 0.0)

    assert book.suggestion("app") is None


def test_failures_teach_nothing() -> None:
    book = Pool(LIMITS, instance="test", now=0.0)

    answers(book, [10] * 100, status="error")
    fill(book)

    assert book.suggestion("app") is None


def test_nothing_is_suggested_while_too_many_answers_are_cut_short() -> None:
    book = Pool(LIMITS, instance="test", now=0.0)

    answers(book, [10] * 90)
    answers(book, [10] * 5, status="truncated")
    fill(book)
    assert book.suggestion("app") == 10
    answers(book, [10] * 10, status="truncated")

    assert book.suggestion("app") is None
