"""Azure's side of the simulation: which requests a deployment takes, by the rules of its documentation.

Tokens are counted when a request arrives, by the endpoint's own prompt estimate plus ``max_tokens``; requests are
counted in sub-windows, those that are rejected too. Where the documentation is silent or contradicts itself - a fixed
minute or a sliding one, a refund when the answer is complete or none - the rule is an argument. Written after the
documentation alone: it shares nothing with the ledger that it judges.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple

MINUTE = 60.0

Window = Literal["fixed", "sliding"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How a deployment judges.

    Attributes:
        tpm: Tokens per minute.
        rpm: Requests per minute.
        sub_window: Seconds over which requests are evaluated, 1 or 10.
        window: Whether the minute of the tokens is a fixed one or slides.
        refund: Whether the unused part of ``max_tokens`` is given back when the answer is complete.
        bias: The share by which the endpoint counts prompts higher than we do.
        noise: The largest share by which it is off in addition, in either direction, anew for each message.
    """

    tpm: int
    rpm: int
    sub_window: float = 1.0
    window: Window = "fixed"
    refund: bool = False
    bias: float = 0.0
    noise: float = 0.0


class Charge:
    """What an admitted request was judged at, and when."""

    __slots__ = ("at", "tokens")

    def __init__(self, at: float, tokens: int) -> None:
        self.at = at
        self.tokens = tokens


class Verdict(NamedTuple):
    """The answer to one arrival.

    Attributes:
        charge: What an admitted request is charged; None if it was rejected.
        retry_after: Seconds after which a rejected one may come again.
        cause: Which limit rejected it.
        remaining_tokens: Tokens left in the minute after this arrival.
        remaining_requests: Likewise, requests.
    """

    charge: Charge | None
    retry_after: float
    cause: Literal["tokens", "requests"] | None
    remaining_tokens: int
    remaining_requests: int


class Judge:
    """One deployment.

    Args:
        rules: How it judges.
        phase: Seconds after a change of its minute at which the simulation starts, 0 to 60.
    """

    def __init__(self, rules: Rules, phase: float) -> None:
        self._rules = rules
        self._most = max(1, int(rules.rpm * rules.sub_window / MINUTE))
        self._phase = phase
        self._sub_window_ends = self._minute_ends = 0.0
        self._arrivals = self._minute_arrivals = self._used = 0
        self._log: deque[Charge] = deque()

    def arrive(self, tokens: int, now: float) -> Verdict:
        """Judge a request as it arrives; times never go back."""
        self._age(now)
        self._arrivals += 1
        self._minute_arrivals += 1
        if self._arrivals > self._most:
            return self._reject("requests", self._sub_window_ends - now)
        if self._used + tokens > self._rules.tpm:
            return self._reject("tokens", self._tokens_return() - now)
        charge = Charge(now, tokens)
        self._used += tokens
        self._log.append(charge)
        return Verdict(charge, 0.0, None, self._tokens_left(), self._requests_left())

    def complete(self, charge: Charge, used: int, now: float) -> None:
        """Note that an answer is complete, and what it and its prompt really were."""
        self._age(now)
        if self._rules.refund and charge.at >= self._since(now):
            self._used += used - charge.tokens
            charge.tokens = used

    def _age(self, now: float) -> None:
        """Begin a new sub-window and a new minute where it is time, and forget the tokens that no longer count."""
        if now >= self._sub_window_ends:
            self._sub_window_ends, self._arrivals = self._end(self._rules.sub_window, now), 0
        if now >= self._minute_ends:
            self._minute_ends, self._minute_arrivals = self._end(MINUTE, now), 0
        log, since = self._log, self._since(now)
        while log and log[0].at < since:
            self._used -= log.popleft().tokens

    def _since(self, now: float) -> float:
        """Return when the minute began in which tokens count now."""
        return now - MINUTE if self._rules.window == "sliding" else self._minute_ends - MINUTE

    def _end(self, length: float, now: float) -> float:
        """Return when the window of a length ends that a time is in."""
        return (math.floor((now + self._phase) / length) + 1) * length - self._phase

    def _tokens_return(self) -> float:
        """Return when tokens become free."""
        return self._log[0].at + MINUTE if self._rules.window == "sliding" and self._log else self._minute_ends

    def _tokens_left(self) -> int:
        """Return the tokens that are left in the minute."""
        return max(0, self._rules.tpm - self._used)

    def _requests_left(self) -> int:
        """Return the requests that are left in the minute."""
        return max(0, self._rules.rpm - self._minute_arrivals)

    def _reject(self, cause: Literal["tokens", "requests"], seconds: float) -> Verdict:
        """Reject an arrival."""
        wait = float(max(1, math.ceil(seconds)))
        return Verdict(None, wait, cause, self._tokens_left(), self._requests_left())
