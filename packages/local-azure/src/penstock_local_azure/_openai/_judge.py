"""The judge: decides, by a rule of its own, which requests come too early.

It is not the judged: what Penstock's client estimates with a tokenizer, this module estimates from characters, with
a bias nobody is told. Hence it must never import `penstock_tokenizers`. Pure: clock and randomness are passed in.

Its rules are those of Microsoft's page "Manage Azure OpenAI quota": tokens are estimated and counted at arrival and
requests are counted in short sub-windows; where the page is silent, a rule is drawn at the start of each run.
"""

from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Final, Literal

from ._windows import MINUTE, Charge, FixedMinute, SlidingMinute, TokenWindow

JudgeKind = Literal["exact", "hidden"]

CHARACTERS_PER_TOKEN: Final = 4
LEAST_BIAS: Final = -0.10
MOST_BIAS: Final = 0.15
NOISE: Final = 0.02
NEVER: Final = 86_400.0
"""Seconds to wait that stand for "this cannot fit, however long you wait"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """How one run limits: drawn at its start, told at its end."""

    kind: JudgeKind
    phase: float
    """Seconds after the start of the run at which a minute begins, 0 to 60."""
    sliding: bool = False
    """Whether tokens count in a sliding minute, not in a fixed one."""
    refunds: bool = False
    """Whether the unused part of max_tokens is given back when the answer is complete."""
    request_window: float = 1.0
    """Seconds of the sub-window in which requests are counted."""
    bias: float = 0.0
    """By which part of itself the estimate of a prompt is off, in every request."""
    noise: float = 0.0
    """By which part of itself at most it is off in addition, anew in each request."""

    def __str__(self) -> str:
        """Tell the draw in one line."""
        window = "sliding window" if self.sliding else "fixed minute"
        refund = "refunds" if self.refunds else "no refunds"
        bias = "" if self.kind == "exact" else f", bias {self.bias:+.1%}".replace("%", " %")
        return f"{self.kind}: {window}, {refund}, {self.request_window:g} s request windows{bias}"


def draw(kind: JudgeKind, random: Random) -> Draw:
    """Draw how a run limits; an exact judge leaves only its phase to chance."""
    phase = random.uniform(0, MINUTE)
    if kind == "exact":
        return Draw(kind=kind, phase=phase)
    return Draw(
        kind=kind,
        phase=phase,
        sliding=random.random() < 0.5,  # noqa: PLR2004  # a fair coin
        refunds=random.random() < 0.5,  # noqa: PLR2004  # a fair coin
        request_window=random.choice((1.0, 10.0)),
        bias=random.uniform(LEAST_BIAS, MOST_BIAS),
        noise=NOISE,
    )


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may be answered; `judged` tokens count against the quota."""

    judged: int
    prompt: int
    charge: Charge


@dataclass(frozen=True, slots=True)
class Rejected:
    """The request came too early; it may come again after `retry_after` seconds."""

    limit: Literal["requests", "tokens"]
    retry_after: float


class Judge:
    """One deployment's limits.

    Args:
        draw: how the run limits.
        tpm: tokens per minute.
        rpm: requests per minute.
        random: where the noise of single requests comes from.
    """

    def __init__(self, draw: Draw, *, tpm: int, rpm: int, random: Random) -> None:
        self._draw = draw
        self._tpm = tpm
        self._rpm = rpm
        self._random = random
        self._tokens: TokenWindow = SlidingMinute() if draw.sliding else FixedMinute(draw.phase)
        self._burst = FixedMinute(draw.phase, draw.request_window)
        self._requests = FixedMinute(draw.phase)
        # A sub-window's share of fewer than 60 or 6 requests per minute is less than one; it still lets one pass.
        self._most_in_burst = max(1, int(rpm * draw.request_window / MINUTE))
        self._lowered = (tpm, 0.0)

    def arrive(self, now: float, prompt_size: int, max_tokens: int) -> Admitted | Rejected:
        """Judge a request as it arrives.

        Args:
            now: seconds since the start of the run, never going backwards.
            prompt_size: a hidden judge wants characters, an exact one the prompt tokens that will be billed.
            max_tokens: the completion tokens that the request may use.
        """
        if (wait := self._count_request(now)) is not None:
            return Rejected("requests", wait)
        prompt = self._estimate(prompt_size)
        judged = prompt + max_tokens
        if excess := max(0, self._tokens.used(now) + judged - self.tpm(now)):
            return Rejected("tokens", self._wait(now, judged, excess))
        return Admitted(judged, prompt, self._tokens.add(now, judged))

    def withdraw(self, now: float, admitted: Admitted) -> None:
        """Forget a request admitted right now, as if it had never arrived."""
        self._tokens.amend(now, admitted.charge, 0)
        self._burst.add(now, -1)
        self._requests.add(now, -1)

    def complete(self, now: float, admitted: Admitted, completion_tokens: int) -> None:
        """Take note that an answer is complete."""
        if self._draw.refunds:
            self._tokens.amend(now, admitted.charge, admitted.prompt + completion_tokens)

    def remaining(self, now: float) -> tuple[int, int]:
        """Return the requests and tokens left, as the answer's headers tell them."""
        return max(0, self._rpm - self._requests.used(now)), max(0, self.tpm(now) - self._tokens.used(now))

    def resets(self, now: float) -> tuple[float, float]:
        """Return the seconds until none of the requests, and none of the tokens, of now count any more."""
        return self._requests.resets(now), self._tokens.resets(now)

    def lower(self, tpm: int, until: float) -> None:
        """Let fewer tokens through for a time."""
        self._lowered = (tpm, until)

    def tpm(self, now: float) -> int:
        """Return the tokens per minute that count now."""
        tpm, until = self._lowered
        return min(tpm, self._tpm) if now < until else self._tpm

    def _wait(self, now: float, judged: int, excess: int) -> float:
        """Return the seconds until a request may fit; one too great for a lowered limit waits for the end of that."""
        if judged > self._tpm:
            return NEVER
        if judged > self.tpm(now):
            return min(NEVER, self._lowered[1] - now)
        return self._tokens.wait(now, excess)

    def _count_request(self, now: float) -> float | None:
        """Count an arrival, whatever becomes of it; return the seconds to wait if it is one too many."""
        self._burst.add(now, 1)
        if self._burst.used(now) > self._most_in_burst:
            return self._burst.wait(now)
        if self._requests.used(now) >= self._rpm:
            return self._requests.wait(now)
        self._requests.add(now, 1)
        return None

    def _estimate(self, prompt_size: int) -> int:
        """Estimate a prompt's tokens."""
        if self._draw.kind == "exact":
            return prompt_size
        noise = self._random.uniform(-self._draw.noise, self._draw.noise)
        return ceil(prompt_size / CHARACTERS_PER_TOKEN * (1 + self._draw.bias) * (1 + noise))
