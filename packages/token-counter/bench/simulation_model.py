"""What is simulated: workers whose backlog never ends, the messages they handle, and the way to the endpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulation_judge import MINUTE, Judge, Rules, Verdict
from simulation_timeline import Process, Signal, Timeline

if TYPE_CHECKING:
    from random import Random

    from simulation_tally import Tally

LARGEST_PROMPT = 12_000
PROMPT_SPREAD, COMPLETION_SPREAD, NETWORK_SPREAD = 0.5, 0.6, 0.5
NETWORK = 0.02
CALL, CALL_SPREAD = 2.0, 4.0
START_SPREAD = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """The workers of one app, and what they work on.

    Attributes:
        app: The app.
        workers: How many there are; each takes the next message when it is done with one.
        prompt: The median of the prompts, in tokens.
        completion: The median of the completions.
        max_tokens: What is sent as ``max_tokens``; no completion is longer.
    """

    app: str
    workers: int
    prompt: int = 800
    completion: int = 200
    max_tokens: int = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One load on one deployment."""

    name: str
    rules: Rules
    crews: tuple[Crew, ...] = (Crew(app="A", workers=64),)
    seconds: float = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message: its prompt as we count it and as the endpoint does, and what the model will answer."""

    app: str
    prompt: int
    judged_prompt: int
    completion: int
    max_tokens: int
    picked_up: float

    def truncated(self, max_tokens: int) -> bool:
        """Tell whether an answer of so many tokens would be cut off."""
        return self.completion > max_tokens

    def used(self, max_tokens: int) -> int:
        """Return what is billed if so many tokens are allowed."""
        return self.prompt + min(self.completion, max_tokens)


Deliver = Callable[[Message], Process]
"""Has one message answered, however often that takes."""


class Endpoint:
    """The deployment behind its network, and the account of what happened there.

    Args:
        rules: How the deployment judges.
        timeline: The time.
        random: The randomness of the run.
        tally: What is counted.
    """

    def __init__(self, rules: Rules, timeline: Timeline, random: Random, tally: Tally) -> None:
        self.timeline = timeline
        self.random = random
        self.tally = tally
        self._judge = Judge(rules, phase=random.uniform(0, MINUTE))

    def send(self, message: Message, max_tokens: int) -> Generator[float | Signal, Any, Verdict]:
        """Send a request, and return what the judge says to it."""
        yield NETWORK * math.exp(self.random.gauss(0, NETWORK_SPREAD))
        tokens = message.judged_prompt + max_tokens
        verdict = self._judge.arrive(tokens, self.timeline.now)
        self.tally.judged(message, tokens, verdict, self.timeline.now)
        return verdict

    def answer(self, message: Message, max_tokens: int, verdict: Verdict) -> Process:
        """Wait for the answer to a request that was admitted just now."""
        waited = self.timeline.now - message.picked_up
        yield CALL + self.random.uniform(0, CALL_SPREAD)
        if verdict.charge is not None:
            self._judge.complete(verdict.charge, message.used(max_tokens), self.timeline.now)
        self.tally.answered(message, max_tokens, waited, self.timeline.now)


def work(crew: Crew, endpoint: Endpoint, deliver: Deliver, rules: Rules) -> Process:
    """Handle one message after the other, for ever."""
    yield endpoint.random.uniform(0, START_SPREAD)
    while True:
        yield from deliver(draw(crew, rules, endpoint.random, endpoint.timeline.now))


def draw(crew: Crew, rules: Rules, random: Random, now: float) -> Message:
    """Draw a message."""
    prompt = min(int(crew.prompt * math.exp(random.gauss(0, PROMPT_SPREAD))), LARGEST_PROMPT)
    completion = min(int(crew.completion * math.exp(random.gauss(0, COMPLETION_SPREAD))), crew.max_tokens)
    off = (1 + rules.bias) * (1 + random.uniform(-rules.noise, rules.noise))
    return Message(
        app=crew.app,
        prompt=prompt,
        judged_prompt=round(prompt * off),
        completion=completion,
        max_tokens=crew.max_tokens,
        picked_up=now,
    )
