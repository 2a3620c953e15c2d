"""What calls cost and what came of them: the facts that results and errors carry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

T = TypeVar("T")

_NAMES: Final = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
"""What the endpoint calls the two, by API."""
_MOST: Final = 2**63 - 1

Outcome = Literal["ok", "invalid", "truncated", "refused", "filtered", "rejected", "unavailable"]
"""What came of one attempt; "unavailable" is 401, 403, 404, 429, 5xx, a broken connection or a timeout."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens as the model's usage says."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One request to the endpoint, under one reservation of its own."""

    deployment: str
    """Which deployment was asked."""
    request_id: str
    """The reservation's id; it travelled in the header ``x-ms-client-request-id``."""
    reserved: int
    """Tokens reserved: the prompt's estimate and the largest answer allowed."""
    usage: Usage | None
    """What the endpoint says it used; None if it did not say."""
    outcome: Outcome
    status: int | None
    """The HTTP status; None if there was no answer."""
    quota_wait: float
    """Seconds spent waiting for the reservation."""
    seconds: float
    """Seconds from sending to the answer."""


class Attempted:
    """What all attempts of one call took together, whether it came to an answer or not."""

    __slots__ = ()

    attempts: tuple[Attempt, ...]

    @property
    def usage(self) -> Usage:
        """Tokens of all attempts."""
        return total(self.attempts)

    @property
    def quota_wait(self) -> float:
        """Seconds spent waiting for quota, in all attempts."""
        return sum(attempt.quota_wait for attempt in self.attempts)

    @property
    def model_time(self) -> float:
        """Seconds spent waiting for answers, in all attempts."""
        return sum(attempt.seconds for attempt in self.attempts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion(Attempted, Generic[T]):
    """A valid answer and what it took; its repr shows everything but the answer."""

    value: T = field(repr=False)
    attempts: tuple[Attempt, ...]
    """Every request that was made for it, the successful one last."""
    engine: str
    """Which engine asked, such as ``"native"``."""
    retry_wait: float = 0.0
    """Seconds slept between attempts because the endpoint was unavailable."""


def total(attempts: Sequence[Attempt]) -> Usage:
    """Add up what attempts used."""
    return sum((attempt.usage for attempt in attempts if attempt.usage), Usage())


def read_usage(said: object) -> Usage | None:
    """Read what an endpoint says it used; None if it says nothing, or nothing that can be meant."""
    if not isinstance(said, Mapping):
        return None
    for prompt, completion in _NAMES:
        counts: list[Any] = [said.get(prompt), said.get(completion) or 0]  # embeddings have no completion
        if all(type(count) is int and 0 <= count <= _MOST for count in counts):
            return Usage(prompt_tokens=counts[0], completion_tokens=counts[1])
    return None
