"""The numbers and names a handler is told, checked once."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from penstock_servicebus._clock import Clock
from penstock_servicebus._entity import Entity
from penstock_servicebus._errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the handler's constructor was told; its docstring explains each.

    Raises:
        ConfigurationError: A name is blank or a number out of range.
    """

    in_queue_name: str
    in_subscription: str | None
    out_queue_name: str
    sessions: bool
    max_retries: int
    retry_delay: float
    max_wait_time: float
    message_batch_size: int
    max_concurrency: int
    receivers: int
    max_handling_time: float
    clock: Clock = field(default_factory=Clock)
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        for name in ("in_queue_name", "out_queue_name"):
            if not str(getattr(self, name) or "").strip():
                raise ConfigurationError(f"{name} must name a queue or a topic")
        if self.in_subscription is not None and not self.in_subscription.strip():
            raise ConfigurationError("in_subscription must name a subscription, or be None for a queue")
        for name in ("retry_delay", "max_wait_time", "max_handling_time"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} must be more than 0 seconds, not {getattr(self, name)!r}")
        for name, least in (("max_retries", 0), ("message_batch_size", 1), ("max_concurrency", 1), ("receivers", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ConfigurationError(f"{name} must be a whole number from {least} up, not {value!r}")
        if self.receivers > self.max_concurrency:
            raise ConfigurationError("receivers must not be more than max_concurrency")
        if self.sessions and self.receivers != 1:
            raise ConfigurationError("receivers must be 1 with sessions: each session has a connection of its own")

    @property
    def source(self) -> Entity:
        """Where messages come from."""
        return Entity(self.in_queue_name, self.in_subscription, self.sessions)

    def slots(self) -> list[int]:
        """The slots of each receiver: an even share of `max_concurrency`."""
        share, rest = divmod(self.max_concurrency, self.receivers)
        return [share + (index < rest) for index in range(self.receivers)]
