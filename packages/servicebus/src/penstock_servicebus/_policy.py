"""The failure policy: what becomes of a message, decided by the facts an error carries and by nothing else."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_DELAY = 300.0
"""Longest delay of a retry copy that nobody asked for, in seconds."""

MAX_PAUSE = 30.0
"""Longest pause between two tries of a message that waits for its environment, in seconds."""

_JITTER = 0.2
_MAX_TOLD = 3600.0
_MAX_TEXT = 1024
_SAFE = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
_ID_FIELDS = ("code", "status_code", "request_id")


@dataclass(frozen=True, slots=True)
class Facts:
    """What an error says about itself."""

    name: str
    permanent: bool = False
    environment: bool = False
    retry_after: float | None = None
    details: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Nobody can handle this message: set it aside, and say why."""

    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed: send a copy that becomes visible after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Repeat:
    """The environment failed, not the message: keep it and run it again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how slowly a handler tries again.

    Attributes:
        max_retries: Retries after the first attempt.
        retry_delay: Seconds before the first retry; doubled with each further one.
        random: Source of jitter, uniform in [0, 1).
    """

    max_retries: int
    retry_delay: float
    random: Callable[[], float] = field(repr=False)

    def decide(self, facts: Facts, *, attempt: int, repeats: int) -> DeadLetter | Retry | Repeat:
        """Decide about a message whose attempt number `attempt` ended with `facts`.

        Args:
            facts: What the error said.
            attempt: Attempts counted before this one.
            repeats: How often this message already waited for its environment.
        """
        if facts.permanent:
            return DeadLetter(facts.name, _describe(facts, attempt, "permanent"))
        if facts.environment:
            return Repeat(self._told(facts) or self._backoff(repeats, MAX_PAUSE))
        if attempt >= self.max_retries:
            return DeadLetter("RetriesExhausted", _describe(facts, attempt, f"{self.max_retries} retries used"))
        return Retry(max(self._backoff(attempt, MAX_DELAY), self._told(facts)))

    def _backoff(self, exponent: int, cap: float) -> float:
        """`retry_delay · 2ⁿ`, give or take a fifth, never above `cap`."""
        factor = 1.0 + _JITTER * (2.0 * self.random() - 1.0)
        return float(min(self.retry_delay * 2.0 ** min(exponent, 32) * factor, cap))

    def _told(self, facts: Facts) -> float:
        """What we were told to wait and a little more, so that not all come back at once; 0 if nothing was said."""
        return (facts.retry_after or 0.0) * (1.0 + _JITTER * self.random())


def facts_of(error: BaseException) -> Facts:
    """Read an error's facts by name (`permanent`, `environment`, `retry_after`), whatever package it comes from.

    A group is permanent if any of its errors is, and the environment's fault only if all of them are.
    """
    if isinstance(error, BaseExceptionGroup):
        return _facts_of_group(error)
    permanent = getattr(error, "permanent", None) is True
    return Facts(
        name=type(error).__name__,
        permanent=permanent,
        environment=not permanent and getattr(error, "environment", None) is True,
        retry_after=_seconds(getattr(error, "retry_after", None)),
        details=_details(error),
    )


def _facts_of_group(group: BaseExceptionGroup[BaseException]) -> Facts:
    """Sum up the facts of a group's members; the one that decides gives the name."""
    members = [facts_of(error) for error in group.exceptions]
    permanent = [facts for facts in members if facts.permanent]
    if permanent:
        return permanent[0]
    ordinary = [facts for facts in members if not facts.environment]
    if ordinary:
        return ordinary[0]
    return max(members, key=lambda facts: facts.retry_after or 0.0)


def _seconds(value: object) -> float | None:
    """A wait that can be believed: a finite number from 0 to one hour."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(max(float(value), 0.0), _MAX_TOLD)


def _details(error: BaseException) -> str:
    """The ids an error carries in well-known fields, if they look like ids; never its text, which may quote content."""
    found = ((name, getattr(error, name, None)) for name in _ID_FIELDS)
    return ", ".join(
        f"{name}={value}"
        for name, value in found
        if isinstance(value, str | int) and _SAFE.fullmatch(str(value)) is not None
    )


def _describe(facts: Facts, attempt: int, why: str) -> str:
    """A dead-letter description: types, fields and ids."""
    details = f" ({facts.details})" if facts.details else ""
    return f"{why}: {facts.name}{details} at attempt {attempt + 1}"[:_MAX_TEXT]
