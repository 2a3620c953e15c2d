import math
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from penstock_token_client.accounting import Grant, Ledger, Limits, Order

# Times are sixteenths of a second and margins powers of two, so that sums of floats are exact.
SIXTEENTH = 1 / 16
LIMITS = Limits(tpm=1000, rpm=24, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125)
BURST = 3  # int(24 * 1 / 8)


def ledger(limits: Limits = LIMITS) -> Ledger:
    return Ledger(limits, instance="test")


def order(tokens: int, *, requests: int = 1, key: str | None = None) -> Order:
    return Order(app="app", tokens=tokens, requests=requests, key=key)


def test_charge_puts_headroom_on_the_prompt_and_not_on_max_tokens() -> None:
    limits = Limits(tpm=10_000, rpm=60, headroom=0.02)

    assert limits.charge(1200, 400) == 816 + 400
    assert limits.charge(1200) == 1224


def test_an_order_that_fits_is_granted_now() -> None:
    book = ledger()

    assert book.earliest(order(1000), 5.0) == 5.0


def test_an_order_waits_until_the_charges_before_it_age_out() -> None:
    book = ledger()
    book.grant(order(600), 0.0)
    book.grant(order(400), 1.0)

    assert book.earliest(order(600), 2.0) == 8.25
    assert book.earliest(order(601), 2.0) == 9.25


def test_requests_are_paced_over_the_sub_window() -> None:
    book = ledger()
    for _ in range(BURST):
        book.grant(order(1), 0.0)

    assert book.earliest(order(1), 0.5) == 1.125


def test_a_sub_window_for_less_than_one_request_is_stretched() -> None:
    book = ledger(Limits(tpm=1000, rpm=2, headroom=0.0, window=8.0, sub_window=1.0, sub_margin=0.125))
    book.grant(order(1), 0.0)

    assert book.earliest(order(1), 1.0) == 4.125


def test_what_exceeds_the_whole_pool_can_never_fit() -> None:
    book = ledger()

    assert book.can_ever_fit(order(1000))
    assert not book.can_ever_fit(order(1001))
    assert not book.can_ever_fit(order(1, requests=BURST + 1))
    assert book.earliest(order(1001), 0.0) == math.inf


def test_a_ledger_that_is_filled_at_the_start_grants_nothing_for_one_window() -> None:
    book = ledger()

    book.fill(0.0)

    assert book.earliest(order(1), 0.0) == 8.25
    assert book.earliest(order(1), 8.25) == 8.25
    assert book.open_tokens == 0


def test_what_plainly_fits_is_granted_at_a_glance() -> None:
    book = ledger()

    grant = book.grant_at_a_glance(order(500), 0.0)

    assert grant is not None
    assert (book.tokens, book.requests) == (500, 1)


def test_a_glance_grants_nothing_that_needs_a_closer_look() -> None:
    book = ledger()
    book.grant(order(500, key="k"), 0.0)

    assert book.grant_at_a_glance(order(501), 1.0) is None
    assert book.grant_at_a_glance(order(500, key="k"), 1.0) is None


def test_judged_settling_never_lowers_the_charge_and_raises_it_when_more_was_used() -> None:
    book = ledger()
    less, more = book.grant(order(100), 0.0), book.grant(order(100), 0.0)

    assert book.settle(less.id, 10, 1.0)
    assert book.settle(more.id, 150, 1.0)
    assert book.tokens == 250


def test_actual_settling_lowers_the_charge_to_what_was_used() -> None:
    book = ledger(Limits(tpm=1000, rpm=24, headroom=0.0, window=8.0, settle="actual"))
    used, failed = book.grant(order(100), 0.0), book.grant(order(100), 0.0)

    book.settle(used.id, 10, 1.0)
    book.settle(failed.id, 0, 1.0, final=False)

    assert book.tokens == 10 + 100


def test_a_grant_ends_once() -> None:
    book = ledger()
    reported, released = book.grant(order(100), 0.0), book.grant(order(100), 0.0)

    assert book.settle(reported.id, 120, 1.0)
    assert book.release(reported.id, 1.0)
    assert book.settle(reported.id, 500, 1.0)
    assert book.release(released.id, 1.0)
    assert book.settle(released.id, 500, 1.0)

    assert book.tokens == 120
    assert book.requests == 1


def test_a_late_end_is_not_known() -> None:
    book = ledger()
    grant = book.grant(order(100), 0.0)

    assert not book.settle(grant.id, 100, 8.25)
    assert not book.release(grant.id, 8.25)
    assert book.next_expiry(8.25) is None
    assert book.unreported == 1


def test_a_repeated_key_brings_the_same_grant_and_moves_its_charge_to_now() -> None:
    book = ledger()
    first = book.grant(order(900, key="k"), 0.0)
    again = book.grant(order(900, key="k"), 2.0)

    assert again.id == first.id
    assert again.renewed
    assert book.tokens == 900
    assert book.earliest(order(200), 3.0) == 10.25


def test_a_repeated_key_is_paced_like_any_request() -> None:
    book = ledger()
    book.grant(order(1, key="k"), 0.0)
    for _ in range(BURST):
        book.grant(order(1), 2.0)

    assert book.earliest(order(1, key="k"), 2.5) == 3.125


def test_a_released_key_is_forgotten() -> None:
    book = ledger()
    first = book.grant(order(100, key="k"), 0.0)
    book.release(first.id, 0.0)
    second = book.grant(order(100, key="k"), 0.0)

    assert second.id != first.id
    assert book.tokens == 100


@pytest.mark.parametrize(
    "faulty",
    [
        {"tpm": 0},
        {"rpm": -1},
        {"tpm": True},
        {"window": 0},
        {"sub_window": math.inf},
        {"headroom": math.nan},
        {"margin": -1},
        {"settle": "x"},
    ],
)
def test_limits_that_promise_nothing_are_refused_by_name(faulty: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(faulty))):
        Limits(**{"tpm": 1, "rpm": 1, **faulty})  # type: ignore[arg-type]  # wrong on purpose


class Sent:
    """The oracle's own record of one grant: what Azure would judge, and when it may have arrived."""

    def __init__(self, grant: Grant, tokens: int, requests: int, at: float) -> None:
        self.id = grant.id
        self.judged = tokens
        self.charged = tokens
        self.requests = requests
        self.times = [at]
        self.ended = False
        self.released = False

    @property
    def at(self) -> float:
        return self.times[-1]


class LedgerMachine(RuleBasedStateMachine):
    """Invariants I1 to I4 and I8 of any sequence of calls, against sums over all grants ever given."""

    @initialize(seed=st.integers(0, 2**16))
    def start(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ledger = ledger()
        self.now = 0.0
        self.sent: list[Sent] = []
        self.keys: dict[str, Sent] = {}

    @rule(sixteenths=st.integers(1, 40))
    def time_passes(self, sixteenths: int) -> None:
        self.now += sixteenths * SIXTEENTH

    @rule(
        tokens=st.integers(0, 1000) | st.sampled_from([1, 500, 1000]),  # that fill the window to the last token
        requests=st.integers(1, BURST),
        keyed=st.booleans(),
        patient=st.booleans(),
    )
    def ask(self, tokens: int, requests: int, keyed: bool, patient: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        wish = order(tokens, requests=requests, key=f"key-{len(self.sent)}" if keyed else None)
        fits_at = self.ledger.earliest(wish, self.now)
        assert self.fits(tokens, requests, fits_at)
        if fits_at > self.now:
            assert not self.fits(tokens, requests, fits_at - SIXTEENTH / 1024)
            if not patient:
                return
            self.now = fits_at
            assert self.ledger.earliest(wish, self.now) == self.now
        self.note(self.ledger.grant(wish, self.now), wish)

    @rule(tokens=st.integers(0, 400), callers=st.integers(1, BURST + 1), keyed=st.booleans())
    def ask_at_a_glance(self, tokens: int, callers: int, keyed: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        for _ in range(callers):
            wish = order(tokens, key=f"key-{len(self.sent)}" if keyed else None)
            fits = self.fits(tokens, 1, self.now)
            grant = self.ledger.grant_at_a_glance(wish, self.now)
            if grant is not None:
                assert fits
                self.note(grant, wish)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.keys)))
        sent = self.keys[key]
        wish = order(sent.judged, requests=sent.requests, key=key)
        if self.ledger.earliest(wish, self.now) > self.now:
            return
        grant = self.ledger.grant(wish, self.now)
        if sent.released or not self.in_window(sent, self.now):
            assert grant.id != sent.id
            self.note(grant, wish)
        else:
            assert grant.id == sent.id
            if not sent.ended:
                sent.times.append(self.now)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), used=st.integers(0, 1200), release=st.booleans())
    def end(self, data: st.DataObject, used: int, release: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        sent = data.draw(st.sampled_from(self.sent))
        known = self.ledger.release(sent.id, self.now) if release else self.ledger.settle(sent.id, used, self.now)
        assert known == self.in_window(sent, self.now)
        if known and not sent.ended:
            sent.ended = True
            sent.released = release
            sent.charged = 0 if release else max(used, sent.charged)

    @rule()
    def the_books_agree(self) -> None:
        """Look, which drops what has left the window; the other rules find it still there."""
        self.ledger.next_expiry(self.now)
        live = [sent for sent in self.sent if self.in_window(sent, self.now) and not sent.released]
        assert self.ledger.tokens == sum(sent.charged for sent in live)
        assert self.ledger.requests == sum(sent.requests for sent in live)
        assert self.ledger.open_tokens == sum(sent.charged for sent in live if not sent.ended)

    def note(self, grant: Grant, wish: Order) -> None:
        """Keep an account of a new grant."""
        sent = Sent(grant, wish.tokens, wish.requests, self.now)
        self.sent.append(sent)
        if wish.key:
            self.keys[wish.key] = sent

    def teardown(self) -> None:
        self.the_books_agree()
        for _ in range(20):
            arrivals = [(self.random.choice(sent.times), sent) for sent in self.sent if not sent.released]
            tokens = [(at, sent.judged) for at, sent in arrivals]
            requests = [(at, sent.requests) for at, sent in arrivals]
            self.judge(tokens, LIMITS.tpm, LIMITS.window, LIMITS.margin)
            self.judge(requests, LIMITS.rpm, LIMITS.window, LIMITS.margin)
            self.judge(requests, BURST, LIMITS.sub_window, LIMITS.sub_margin)

    def judge(self, amounts: list[tuple[float, int]], limit: int, length: float, delay: float) -> None:
        """Count arrivals, each delayed by anything up to the margin, in fixed windows of any phase."""
        phase = self.random.uniform(0, length)
        counts: dict[int, int] = {}
        for at, amount in amounts:
            window = math.floor((at + self.random.choice((0.0, delay, self.random.uniform(0, delay))) - phase) / length)
            counts[window] = counts.get(window, 0) + amount
        assert all(count <= limit for count in counts.values())

    def in_window(self, sent: Sent, at: float) -> bool:
        return sent.at + LIMITS.window + LIMITS.margin > at

    def fits(self, tokens: int, requests: int, at: float) -> bool:
        live = [sent for sent in self.sent if self.in_window(sent, at) and not sent.released]
        recent = [sent for sent in live if sent.at + LIMITS.sub_window + LIMITS.sub_margin > at]
        return (
            sum(sent.charged for sent in live) + tokens <= LIMITS.tpm
            and sum(sent.requests for sent in live) + requests <= LIMITS.rpm
            and sum(sent.requests for sent in recent) + requests <= BURST
        )


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
