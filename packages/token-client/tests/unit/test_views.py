"""The ring of moments, against sums over all that ever happened."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from penstock_token_client._views import PHASES, Views
from penstock_token_client._whereabouts import Correction
from penstock_token_client.accounting import Grant, Order, Usage

WINDOW = 60.0
MOMENT = 0.01
PHASE = WINDOW / PHASES


@dataclass
class Sent:
    """The oracle's record of one grant."""

    grant: Grant
    unused: int = 0
    taken_back: bool = False


class ViewsMachine(RuleBasedStateMachine):
    """Grants, answers and withdrawals in any order, early and late."""

    @initialize()
    def start(self) -> None:
        self.views = Views(WINDOW)
        self.moment = 0
        self.sent: list[Sent] = []

    @property
    def now(self) -> float:
        return (self.moment + 0.5) * MOMENT

    @rule(moments=st.sampled_from([1, 7, 50, 3000, 5999, 6000]))
    def time_passes(self, moments: int) -> None:
        self.moment += moments

    @rule(prompt=st.integers(0, 1000), max_tokens=st.integers(0, 1000))
    def grant(self, prompt: int, max_tokens: int) -> None:
        order = Order(app="app", tokens=prompt + max_tokens, max_tokens=max_tokens)
        self.sent.append(Sent(Grant("id", order, self.now, order.tokens)))
        self.views.granted([self.sent[-1].grant])

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), used=st.integers(0, 1200))
    def answer(self, data: st.DataObject, used: int) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        if not sent.unused and not sent.taken_back:
            sent.unused = max(0, sent.grant.order.max_tokens - used)
            self.views.answered([(sent.grant, Usage(prompt_tokens=1, completion_tokens=used), self.now)])

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        if not sent.unused and not sent.taken_back:
            sent.taken_back = True
            order = sent.grant.order
            self.views.take_back(sent.grant, order.tokens - order.max_tokens, order.max_tokens)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), moments=st.sampled_from([0, 1, 3000, 6000]))
    def remember_what_was_wrong(self, data: st.DataObject, moments: int) -> None:
        """What is taken off a look later on makes it the look that it would have been without."""
        at, seen = self.now, self.views.at(self.now)
        wrong = data.draw(st.sampled_from(self.sent))
        self.moment += moments
        prompts, exact = data.draw(st.integers(0, 1000)), data.draw(st.integers(0, 1000))
        corrected = self.views.without(seen, at, [Correction(1, wrong.grant.at, prompts, exact, lost=False)])
        (was, now), *fixed = zip(zip(*seen, strict=True), zip(*corrected, strict=True), strict=True)
        newest = int(at / PHASE)
        since = [at - WINDOW, *((newest - (newest - phase) % PHASES) * PHASE for phase in range(PHASES))]
        for begin, (before, after) in zip(since, [(was, now), *fixed], strict=True):
            counts = wrong.grant.at > begin + MOMENT / 4
            assert after == (before[0] - prompts * counts, before[1] - exact * counts, *before[2:])

    @rule()
    def look(self) -> None:
        whole, *fixed = zip(*self.views.at(self.now), strict=True)
        assert whole == (*self.sums(self.now - WINDOW), 1.0)
        newest = int(self.now / PHASE)
        for phase, counted in enumerate(fixed):
            age = (newest - phase) % PHASES
            assert counted == (*self.sums((newest - age) * PHASE), (age + 0.5) / PHASES)

    def sums(self, since: float) -> tuple[int, int, int]:
        """Return what was granted from a time on: prompts, completions, and what of these is left over."""
        counted = [sent for sent in self.sent if sent.grant.at > since + MOMENT / 4]
        orders = [sent.grant.order for sent in counted if not sent.taken_back]
        exact = sum(order.max_tokens for order in orders)
        return sum(order.tokens for order in orders) - exact, exact, sum(sent.unused for sent in counted)


TestViewsMachine = ViewsMachine.TestCase
TestViewsMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
