"""How one message gets answered: with nothing but retries, or under a quota that is asked before each request."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from simulation_tally import quantile

if TYPE_CHECKING:
    from collections.abc import Generator

    from simulation_judge import Verdict
    from simulation_model import Endpoint, Message
    from simulation_timeline import Process, Signal

ROUND_TRIP = 0.002
"""Seconds to whatever keeps the quota and back."""
REDELIVERY = 1.0
"""Seconds after which a message that was given up comes again."""
SDK_RETRIES = 2
SDK_BACKOFF, SDK_LONGEST, SDK_JITTER = 0.5, 8.0, 0.25

Permit = TypeVar("Permit")


class Quota(Protocol[Permit]):
    """Whatever is asked before a request is sent."""

    def reserve(self, message: Message, tokens: int) -> Generator[float | Signal, Any, Permit | None]:
        """Wait for leave to send a request that may complete ``tokens``; None gives up."""

    def rejected(self, permit: Permit, verdict: Verdict) -> None:
        """Note that the endpoint rejected the request all the same."""

    def settle(self, permit: Permit, message: Message, max_tokens: int, verdict: Verdict) -> None:
        """Note that the answer is there."""


class MaxTokens:
    """What is reserved and sent as ``max_tokens`` on a message's first try: what the message asks for."""

    def choose(self, message: Message) -> tuple[int, int]:
        """Return what the quota is asked for, and what the endpoint is told."""
        return message.max_tokens, message.max_tokens

    def learn(self, message: Message) -> None:
        """Take note of a whole answer."""


class LearnedMaxTokens(MaxTokens):
    """A quantile of the last completions.

    Args:
        share: Which quantile.
        sent: Whether the endpoint is told, too; otherwise only the quota believes it.
    """

    MEMORY, ENOUGH = 500, 50

    def __init__(self, share: float, *, sent: bool = True) -> None:
        self._share = share
        self._sent = sent
        self._lengths: deque[int] = deque(maxlen=self.MEMORY)

    def choose(self, message: Message) -> tuple[int, int]:
        """Reserve the quantile, once there is enough to take it from, and send it if it is to be sent."""
        if len(self._lengths) < self.ENOUGH:
            return message.max_tokens, message.max_tokens
        learned = int(min(message.max_tokens, quantile(sorted(self._lengths), self._share)))
        return learned, learned if self._sent else message.max_tokens

    def learn(self, message: Message) -> None:
        """Remember how long an answer was."""
        self._lengths.append(message.completion)


class UnderQuota(Generic[Permit]):
    """Delivers by asking a quota before each request."""

    def __init__(self, endpoint: Endpoint, quota: Quota[Permit], max_tokens: MaxTokens) -> None:
        self._endpoint = endpoint
        self._quota = quota
        self._max_tokens = max_tokens

    def __call__(self, message: Message) -> Process:
        """Have a message answered; an answer cut off by a learned ``max_tokens`` is asked for again, in full."""
        reserved, sent = self._max_tokens.choose(message)
        yield from self._answered(message, reserved, sent)
        if message.truncated(sent):
            yield from self._answered(message, message.max_tokens, message.max_tokens)
        self._max_tokens.learn(message)

    def _answered(self, message: Message, reserved: int, sent: int) -> Process:
        """Try until the endpoint takes the request."""
        endpoint = self._endpoint
        while True:
            permit = yield from self._quota.reserve(message, reserved)
            if permit is None:
                endpoint.tally.give_up(endpoint.timeline.now)
                yield REDELIVERY
                continue
            verdict = yield from endpoint.send(message, sent)
            if verdict.charge is not None:
                break
            self._quota.rejected(permit, verdict)
            yield verdict.retry_after + endpoint.random.random()
        yield from endpoint.answer(message, sent, verdict)
        self._quota.settle(permit, message, sent, verdict)


class SdkRetries:
    """Delivers as the OpenAI SDK does by itself: two retries, then the message is given up and comes again.

    Args:
        endpoint: Where it sends.
        obey: Whether it waits for as long as the endpoint says, or backs off by its own measure.
    """

    def __init__(self, endpoint: Endpoint, *, obey: bool) -> None:
        self._endpoint = endpoint
        self._obey = obey

    def __call__(self, message: Message) -> Process:
        """Have a message answered."""
        endpoint = self._endpoint
        failures = 0
        while True:
            verdict = yield from endpoint.send(message, message.max_tokens)
            if verdict.charge is not None:
                break
            if failures < SDK_RETRIES:
                yield verdict.retry_after if self._obey else self._backoff(failures)
                failures += 1
            else:
                endpoint.tally.give_up(endpoint.timeline.now)
                yield REDELIVERY
                failures = 0
        yield from endpoint.answer(message, message.max_tokens, verdict)

    def _backoff(self, failures: int) -> float:
        """Return the SDK's own pause after so many failures before this one."""
        longest: float = min(SDK_BACKOFF * 2.0**failures, SDK_LONGEST)
        return longest * (1 - SDK_JITTER * self._endpoint.random.random())
