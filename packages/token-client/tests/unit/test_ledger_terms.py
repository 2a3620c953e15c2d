"""A ledger whose terms change under it: prices, limits, margins and pauses, against sums over all that was granted."""

import math
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock_token_client.accounting import Grant, Ledger, Limits, Order

# Times are sixteenths of a second and margins powers of two, so that sums of floats are exact.
SIXTEENTH = 1 / 16
LIMITS = Limits(tpm=1000, rpm=24, headroom=0.0, window=8.0, sub_window=1.0, margin=0.25, sub_margin=0.125)


def ledger() -> Ledger:
    return Ledger(LIMITS, instance="test")


def order(tokens: int, max_tokens: int = 0) -> Order:
    return Order(app="app", tokens=tokens, max_tokens=max_tokens)


def test_a_new_price_counts_for_what_is_in_the_window_already_but_not_for_answers() -> None:
    book = ledger()
    book.grant(order(300, 100), 0.0)

    book.adjust(LIMITS.terms(bias=1.5), 1.0)

    assert book.tokens == book.open_tokens == 200 * 1.5 + 100


def test_what_was_used_stays_the_least_that_is_charged() -> None:
    book = ledger()
    grant = book.grant(order(300, 100), 0.0)
    book.settle(grant.id, 350, 0.0)

    book.adjust(LIMITS.terms(bias=0.5), 1.0)

    assert book.tokens == 350


def test_an_order_that_fits_an_empty_pool_is_never_priced_out_of_it() -> None:
    book = ledger()

    book.adjust(LIMITS.terms(bias=2.0, tpm=400), 0.0)

    assert book.can_ever_fit(order(900))
    assert book.cost(order(900)) == 1000
    assert book.earliest(order(900), 0.0) == 0.0


def test_a_wider_margin_keeps_what_is_in_the_window_for_longer() -> None:
    book = ledger()
    book.grant(order(1000), 0.0)

    book.adjust(LIMITS.terms(margin=0.5), 1.0)

    assert book.earliest(order(1), 1.0) == 8.75


def test_nothing_is_granted_before_a_pause_is_over() -> None:
    book = ledger()

    book.adjust(LIMITS.terms(paused_until=5.0), 0.0)

    assert book.earliest(order(1), 1.0) == 5.0


@dataclass
class Sent:
    """The oracle's record of one grant."""

    grant: Grant
    at: float
    used: int | None = None
    released: bool = False
    recent: bool = True


class TermsMachine(RuleBasedStateMachine):
    """Grants, ends and terms in any order."""

    @initialize()
    def start(self) -> None:
        self.ledger = ledger()
        self.now = 0.0
        self.sent: list[Sent] = []

    @rule(sixteenths=st.integers(1, 40))
    def time_passes(self, sixteenths: int) -> None:
        self.now += sixteenths * SIXTEENTH

    @rule(
        tpm=st.sampled_from([100, 400, 900, 1000]),
        bias=st.sampled_from([0.5, 0.9, 1.0, 1.15, 2.0]),
        margin=st.sampled_from([0.0, 0.5, 2.0]),
        sub_margin=st.sampled_from([0.0, 0.25]),
        pause=st.sampled_from([0.0, 0.0, 1.0, 4.0]),
    )
    def terms_change(self, tpm: int, bias: float, margin: float, sub_margin: float, pause: float) -> None:
        terms = LIMITS.terms(
            tpm=tpm, bias=bias, margin=margin, sub_margin=sub_margin, paused_until=self.now + pause if pause else -1.0
        )
        # What has left the windows by the terms until now stays gone when the windows grow.
        self.sent = [sent for sent in self.sent if sent.at + self.ledger.terms.span > self.now]
        for sent in self.sent:
            sent.recent = sent.recent and sent.at + self.ledger.terms.pace > self.now
        self.ledger.adjust(terms, self.now)

    @rule(prompt=st.integers(0, 700), max_tokens=st.integers(0, 300))
    def ask(self, prompt: int, max_tokens: int) -> None:
        wish = order(prompt + max_tokens, max_tokens)
        at = self.ledger.earliest(wish, self.now)
        assert at < math.inf
        assert self.fits(wish, at)
        if at > self.now:
            assert not self.fits(wish, at - SIXTEENTH / 1024)
        self.now = at
        assert self.ledger.earliest(wish, self.now) == self.now
        self.sent.append(Sent(self.ledger.grant(wish, self.now), self.now))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), used=st.integers(0, 1200), release=st.booleans())
    def end(self, data: st.DataObject, used: int, release: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        sent = data.draw(st.sampled_from(self.sent))
        grant_id = sent.grant.id
        known = self.ledger.release(grant_id, self.now) if release else self.ledger.settle(grant_id, used, self.now)
        if known and sent.used is None and not sent.released:
            sent.released = release
            sent.used = None if release else used

    @invariant()
    def the_books_agree(self) -> None:
        self.ledger.next_expiry(self.now)  # ages the log
        live = [sent for sent in self.sent if sent.at + self.ledger.terms.span > self.now and not sent.released]
        assert self.ledger.tokens == sum(map(self.due, live))
        assert self.ledger.requests == len(live)
        assert self.ledger.open_tokens == sum(self.due(sent) for sent in live if sent.used is None)

    def due(self, sent: Sent) -> int:
        """Return what a grant is to be charged by the terms in force."""
        wish, terms = sent.grant.order, self.ledger.terms
        cost = math.ceil((wish.tokens - wish.max_tokens) * terms.prompt_rate) + wish.max_tokens
        return max(min(cost, LIMITS.tpm), sent.used or 0)

    def fits(self, wish: Order, at: float) -> bool:
        """Tell whether an order fits at a time: by the terms in force, or alone if it is larger than they are."""
        terms = self.ledger.terms
        live = [sent for sent in self.sent if sent.at + terms.span > at and not sent.released]
        starts = sum(sent.recent and sent.at + terms.pace > at for sent in live)
        cost = self.due(Sent(Grant("", wish, at, 0), at))
        return (
            at >= terms.paused_until
            and sum(map(self.due, live)) + cost <= max(terms.tpm, cost)
            and len(live) < LIMITS.rpm
            and starts < terms.burst
        )


TestTermsMachine = TermsMachine.TestCase
TestTermsMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
