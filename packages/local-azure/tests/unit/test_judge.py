"""The judge decides as Microsoft's quota page says, whatever the phase; a brute-force oracle holds it to that."""

import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass, replace
from math import ceil, floor, inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_local_azure._openai._judge import NEVER, Admitted, Draw, Judge, Rejected, draw

TPM = 1_000
RPM = 120


@dataclass(frozen=True)
class Arrival:
    """A request that comes `gap` eighths of a second after the one before it."""

    gap: int
    prompt: int
    max_tokens: int
    completion: int | None
    """The tokens of its answer, complete as soon as it was judged; None: never complete."""


@st.composite
def arrival(draw_: st.DrawFn) -> Arrival:
    """Draw an arrival whose answer, if it is ever complete, keeps to its bound."""
    max_tokens = draw_(st.integers(1, 400))
    return Arrival(
        gap=draw_(st.sampled_from([0, 0, 1, 7, 40, 480]) | st.integers(0, 600)),
        prompt=draw_(st.integers(0, TPM)),
        max_tokens=max_tokens,
        completion=draw_(st.none() | st.integers(0, max_tokens)),
    )


ARRIVALS = st.lists(arrival(), max_size=60)
# Times are eighths of seconds, so that no rounding blurs where a window ends.
DRAWS = st.builds(
    Draw,
    kind=st.just("exact"),
    phase=st.integers(0, 479).map(lambda eighths: eighths / 8),
    sliding=st.booleans(),
    refunds=st.booleans(),
    request_window=st.sampled_from([1.0, 10.0]),
)


class Oracle:
    """Judges by walking through all that ever happened; it keeps no window of its own."""

    def __init__(self, draw: Draw, tpm: int, rpm: int) -> None:
        self.draw, self.tpm, self.rpm = draw, tpm, rpm
        self.arrivals: list[float] = []
        self.passed: list[float] = []
        self.admitted: list[tuple[float, int]] = []

    def judge(self, now: float, arrival: Arrival) -> str:
        self.arrivals.append(now)
        burst = self._in_same(self.draw.request_window, now, self.arrivals)
        if burst > max(1, int(self.rpm * self.draw.request_window / 60)):
            return "requests"
        if self._in_same(60, now, self.passed) >= self.rpm:
            return "requests"
        self.passed.append(now)
        judged = arrival.prompt + arrival.max_tokens
        if self._used(now) + judged > self.tpm:
            return "tokens"
        # An answer is complete at once here, so a refund counts from the start.
        refunded = self.draw.refunds and arrival.completion is not None
        self.admitted.append((now, arrival.prompt + arrival.completion if refunded else judged))  # type: ignore[operator]
        return "admitted"

    def _in_same(self, length: float, now: float, times: list[float]) -> int:
        index = floor((now - self.draw.phase) / length)
        return sum(floor((time - self.draw.phase) / length) == index for time in times)

    def _used(self, now: float) -> int:
        if self.draw.sliding:
            return sum(tokens for time, tokens in self.admitted if time > now - 60)
        index = floor((now - self.draw.phase) / 60)
        return sum(tokens for time, tokens in self.admitted if floor((time - self.draw.phase) / 60) == index)


def verdicts(judge: Judge, arrivals: list[Arrival]) -> list[tuple[float, Admitted | Rejected]]:
    """Let requests arrive, and their answers be complete."""
    now, judged = 0.0, []
    for arrival in arrivals:
        now += arrival.gap / 8
        verdict = judge.arrive(now, arrival.prompt, arrival.max_tokens)
        if isinstance(verdict, Admitted) and arrival.completion is not None:
            judge.complete(now, verdict, arrival.completion)
        judged.append((now, verdict))
    return judged


@given(drawn=DRAWS, rpm=st.sampled_from([2, 30, RPM, 100_000]), arrivals=ARRIVALS)
def test_it_decides_like_a_walk_through_all_that_happened(drawn: Draw, rpm: int, arrivals: list[Arrival]) -> None:
    oracle = Oracle(drawn, TPM, rpm)

    judged = verdicts(Judge(drawn, tpm=TPM, rpm=rpm, random=Random(0)), arrivals)

    expected = [oracle.judge(now, arrival) for (now, _), arrival in zip(judged, arrivals, strict=True)]
    assert [verdict.limit if isinstance(verdict, Rejected) else "admitted" for _, verdict in judged] == expected


@given(drawn=DRAWS, arrivals=ARRIVALS, prompt=st.integers(0, TPM - 1))
def test_waiting_as_told_is_enough(drawn: Draw, arrivals: list[Arrival], prompt: int) -> None:
    judge = Judge(drawn, tpm=TPM, rpm=100_000, random=Random(0))
    now = max((now for now, _ in verdicts(judge, arrivals)), default=0.0)
    rejected = judge.arrive(now, prompt, 1)

    if isinstance(rejected, Rejected):
        assert 0 < rejected.retry_after <= 60
        assert isinstance(deepcopy(judge).arrive(now + rejected.retry_after, prompt, 1), Admitted)


@given(drawn=DRAWS, arrivals=ARRIVALS)
def test_what_remains_is_what_the_next_request_may_use(drawn: Draw, arrivals: list[Arrival]) -> None:
    judge = Judge(drawn, tpm=TPM, rpm=100_000, random=Random(0))
    now = max((now for now, _ in verdicts(judge, arrivals)), default=0.0)
    _, tokens = judge.remaining(now)

    assert isinstance(deepcopy(judge).arrive(now, 0, tokens), Admitted)
    assert isinstance(deepcopy(judge).arrive(now, 0, tokens + 1), Rejected)


@given(drawn=DRAWS, arrivals=ARRIVALS, prompt=st.integers(0, 400))
def test_a_withdrawn_request_leaves_no_trace(drawn: Draw, arrivals: list[Arrival], prompt: int) -> None:
    judge = Judge(drawn, tpm=TPM, rpm=RPM, random=Random(0))
    now = max((now for now, _ in verdicts(judge, arrivals)), default=0.0)
    untouched, left = deepcopy(judge), judge.remaining(now)
    admitted = judge.arrive(now, prompt, 1)

    if isinstance(admitted, Admitted):
        judge.withdraw(now, admitted)
        assert judge.remaining(now) == left
        assert judge.arrive(now, prompt, 1) == untouched.arrive(now, prompt, 1)


@given(drawn=DRAWS, arrivals=ARRIVALS)
def test_after_the_reset_nothing_counts_and_just_before_something_does(drawn: Draw, arrivals: list[Arrival]) -> None:
    judge = Judge(drawn, tpm=TPM, rpm=RPM, random=Random(0))
    now = max((now for now, _ in verdicts(judge, arrivals)), default=0.0)
    requests, tokens = judge.resets(now)

    assert deepcopy(judge).remaining(now + requests)[0] == RPM
    assert deepcopy(judge).remaining(now + tokens)[1] == TPM
    if requests:
        assert deepcopy(judge).remaining(now + requests - 1 / 16)[0] < RPM
    if tokens:
        assert deepcopy(judge).remaining(now + tokens - 1 / 16)[1] < TPM


class TestRequests:
    drawn = Draw(kind="exact", phase=0.0)

    def test_at_600_per_minute_the_eleventh_in_one_second_is_rejected(self) -> None:
        judge = Judge(self.drawn, tpm=TPM, rpm=600, random=Random(0))

        judged = [judge.arrive(0.5, 1, 1) for _ in range(11)]

        assert [isinstance(verdict, Admitted) for verdict in judged] == [True] * 10 + [False]
        assert judged[-1] == Rejected("requests", 0.5)

    def test_rejected_arrivals_count_as_requests_but_add_no_tokens(self) -> None:
        judge = Judge(self.drawn, tpm=10, rpm=180, random=Random(0))
        too_large = [judge.arrive(0.0, 10, 1) for _ in range(3)]

        assert [verdict.limit for verdict in too_large if isinstance(verdict, Rejected)] == ["tokens"] * 3
        assert judge.arrive(0.0, 9, 1) == Rejected("requests", 1.0)
        assert isinstance(judge.arrive(1.0, 9, 1), Admitted)

    def test_few_per_minute_still_let_one_through_in_a_second_but_no_more_than_told_in_a_minute(self) -> None:
        judge = Judge(self.drawn, tpm=TPM, rpm=2, random=Random(0))

        judged = [judge.arrive(float(second), 1, 1) for second in (0, 1, 2, 60)]

        assert [isinstance(verdict, Admitted) for verdict in judged] == [True, True, False, True]
        assert judged[2] == Rejected("requests", 58.0)


class TestTokens:
    def test_what_can_never_fit_is_told_to_wait_a_day(self) -> None:
        judge = Judge(Draw(kind="exact", phase=0.0), tpm=TPM, rpm=RPM, random=Random(0))

        assert judge.arrive(0.0, TPM, 1) == Rejected("tokens", NEVER)

    def test_a_fixed_minute_starts_anew_at_its_phase(self) -> None:
        judge = Judge(Draw(kind="exact", phase=20.0), tpm=TPM, rpm=RPM, random=Random(0))
        judge.arrive(15.0, 0, TPM)

        assert judge.arrive(19.0, 0, 1) == Rejected("tokens", 1.0)
        assert isinstance(judge.arrive(20.0, 0, TPM), Admitted)

    @pytest.mark.parametrize("sliding", [False, True])
    def test_a_refund_after_its_minute_gives_nothing_back(self, *, sliding: bool) -> None:
        judge = Judge(Draw(kind="exact", phase=0.0, refunds=True, sliding=sliding), tpm=TPM, rpm=RPM, random=Random(0))
        early = judge.arrive(0.0, 0, TPM)
        judge.arrive(60.0, 0, TPM)

        assert isinstance(early, Admitted)
        judge.complete(61.0, early, 0)

        assert judge.remaining(61.0)[1] == 0

    def test_a_refund_in_time_gives_back_what_was_not_used(self) -> None:
        judge = Judge(Draw(kind="exact", phase=0.0, refunds=True, sliding=True), tpm=TPM, rpm=RPM, random=Random(0))
        admitted = judge.arrive(0.0, 100, 900)

        assert isinstance(admitted, Admitted)
        judge.complete(5.0, admitted, 50)

        assert judge.remaining(5.0)[1] == TPM - 150


def test_what_was_given_back_whole_does_not_put_off_the_reset() -> None:
    judge = Judge(Draw(kind="exact", phase=0.0, sliding=True, refunds=True), tpm=TPM, rpm=RPM, random=Random(0))
    judge.arrive(0.0, 100, 1)
    given_back = judge.arrive(30.0, 0, 100)

    assert isinstance(given_back, Admitted)
    judge.complete(31.0, given_back, 0)

    assert judge.resets(31.0)[1] == 29.0


class TestLoweredLimit:
    @pytest.mark.parametrize("sliding", [False, True])
    def test_less_fits_until_it_ends(self, *, sliding: bool) -> None:
        judge = Judge(Draw(kind="exact", phase=0.0, sliding=sliding), tpm=TPM, rpm=RPM, random=Random(0))
        judge.lower(600, 10.0)

        assert judge.remaining(0.0)[1] == judge.tpm(0.0) == 600
        assert isinstance(judge.arrive(0.0, 0, 500), Admitted)
        assert judge.arrive(1.0, 0, 101) == Rejected("tokens", 59.0)
        assert judge.tpm(10.0) == TPM
        assert isinstance(judge.arrive(10.0, 0, 500), Admitted)

    def test_what_is_too_great_for_it_waits_for_its_end(self) -> None:
        judge = Judge(Draw(kind="exact", phase=0.0), tpm=TPM, rpm=RPM, random=Random(0))
        judge.lower(600, 10.0)

        assert judge.arrive(4.0, 0, 601) == Rejected("tokens", 6.0)
        assert judge.arrive(5.0, 0, TPM + 1) == Rejected("tokens", NEVER)

    def test_without_an_end_it_waits_a_day(self) -> None:
        judge = Judge(Draw(kind="exact", phase=0.0), tpm=TPM, rpm=RPM, random=Random(0))
        judge.lower(600, inf)

        assert judge.arrive(0.0, 0, 601) == Rejected("tokens", NEVER)

    def test_a_higher_one_changes_nothing(self) -> None:
        judge = Judge(Draw(kind="exact", phase=0.0), tpm=TPM, rpm=RPM, random=Random(0))
        judge.lower(TPM + 1, inf)

        assert judge.tpm(0.0) == TPM


class TestHiddenEstimate:
    @given(characters=st.integers(0, 100_000), seed=st.integers(0, 1_000))
    def test_a_quarter_of_the_characters_give_or_take_the_bias_and_a_little_noise(
        self, characters: int, seed: int
    ) -> None:
        drawn = replace(draw("hidden", Random(seed)), request_window=10.0)
        judge = Judge(drawn, tpm=10**9, rpm=10**9, random=Random(seed))

        admitted = judge.arrive(0.0, characters, 100)

        assert isinstance(admitted, Admitted)
        biased = characters / 4 * (1 + drawn.bias)
        assert floor(biased * 0.98) <= admitted.judged - 100 <= ceil(biased * 1.02)

    def test_the_noise_differs_from_request_to_request(self) -> None:
        judge = Judge(draw("hidden", Random(1)), tpm=10**9, rpm=10**9, random=Random(1))

        judged = [judge.arrive(0.0, 100_000, 1) for _ in range(20)]

        assert len({verdict.judged for verdict in judged if isinstance(verdict, Admitted)}) > 10


class TestDraw:
    def test_every_policy_is_drawn_sooner_or_later(self) -> None:
        drawn = [draw("hidden", Random(seed)) for seed in range(200)]

        assert len({(each.sliding, each.refunds, each.request_window) for each in drawn}) == 8
        assert all(-0.10 <= each.bias <= 0.15 and 0 <= each.phase <= 60 for each in drawn)
        assert min(each.bias for each in drawn) < -0.08
        assert max(each.bias for each in drawn) > 0.13

    def test_the_same_seed_draws_the_same(self) -> None:
        assert draw("hidden", Random(7)) == draw("hidden", Random(7)) != draw("hidden", Random(8))

    def test_an_exact_judge_leaves_only_the_phase_to_chance(self) -> None:
        drawn = [draw("exact", Random(seed)) for seed in range(20)]

        assert {replace(each, phase=0.0) for each in drawn} == {Draw(kind="exact", phase=0.0)}
        assert len({each.phase for each in drawn}) == 20

    @pytest.mark.parametrize(
        ("drawn", "line"),
        [
            (
                Draw(kind="hidden", phase=1, sliding=True, refunds=True, request_window=10.0, bias=0.042),
                "hidden: sliding window, refunds, 10 s request windows, bias +4.2 %",
            ),
            (
                Draw(kind="hidden", phase=1, bias=-0.1),
                "hidden: fixed minute, no refunds, 1 s request windows, bias -10.0 %",
            ),
            (Draw(kind="exact", phase=1), "exact: fixed minute, no refunds, 1 s request windows"),
        ],
    )
    def test_it_is_told_in_one_line(self, drawn: Draw, line: str) -> None:
        assert str(drawn) == line


def test_the_judge_is_not_the_judged() -> None:
    program = (
        "import sys, penstock_local_azure._openai._judge;"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'penstock_tokenizers', 'tiktoken'}))"
    )

    imported = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)

    assert imported.stdout == "[]\n"
