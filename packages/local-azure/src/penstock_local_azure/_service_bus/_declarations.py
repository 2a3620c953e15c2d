"""What a namespace contains, as its user declares it."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription to a topic of the local Service Bus: a queue of its own, which gets a copy of every message.

    Args:
        name: Its name; compared without regard to case, as the service does.
        lock_duration: Seconds a received message, or an accepted message session, stays locked; the service's default
            is 60, its range 5 to 300. Shorter is allowed here, for tests.
        max_delivery_count: Deliveries after which a message that comes back is dead-lettered (service default 10).
        requires_session: Whether all messages belong to message sessions, and are received by session only.
        time_to_live: Seconds after which a message that nobody has received expires; a message may ask for less
            itself. None: no limit of the entity's own.
        dead_letter_on_expiration: Whether expired messages are dead-lettered; they are dropped otherwise.

    Raises:
        ValueError: if the name is blank or holds a slash, or a number is not positive.
    """

    name: str
    _: KW_ONLY
    lock_duration: float = 60.0
    max_delivery_count: int = 10
    requires_session: bool = False
    time_to_live: float | None = None
    dead_letter_on_expiration: bool = False

    def __post_init__(self) -> None:
        _check(self)
        if "/" in self.name:
            raise ValueError(f"the name of a subscription must not hold a slash: {self.name!r}")


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the local Service Bus.

    Args:
        name: Its path; compared without regard to case, as the service does.
        lock_duration: As for `Subscription`, and so are those that are not named here.
        duplicate_detection: Seconds for which message ids are remembered and repetitions dropped (the service allows
            20 s to 7 days); None: no detection.

    Raises:
        ValueError: if the name is blank, or a number is not positive.
    """

    name: str
    _: KW_ONLY
    lock_duration: float = 60.0
    max_delivery_count: int = 10
    duplicate_detection: float | None = None
    requires_session: bool = False
    time_to_live: float | None = None
    dead_letter_on_expiration: bool = False

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the local Service Bus, whose subscriptions each get a copy of every message.

    Args:
        name: Its path; compared without regard to case, as the service does.
        subscriptions: `Subscription`s, or names for subscriptions with the service's defaults.
        duplicate_detection: As for `Queue`.

    Raises:
        ValueError: if the name is blank, or a number is not positive.
    """

    name: str
    subscriptions: Sequence[Subscription | str] = ()
    _: KW_ONLY
    duplicate_detection: float | None = None

    def __post_init__(self) -> None:
        _check(self)

    def all_subscriptions(self) -> list[Subscription]:
        """Return the subscriptions, made of their names where only these were given."""
        return [Subscription(each) if isinstance(each, str) else each for each in self.subscriptions]


def _check(declaration: Subscription | Queue | Topic) -> None:
    """Refuse what cannot be."""
    if not declaration.name.strip("/ "):
        raise ValueError("name must not be blank")
    for name in ("lock_duration", "duplicate_detection", "time_to_live"):
        seconds: Any = getattr(declaration, name, None)
        if seconds is not None and seconds <= 0:
            raise ValueError(f"{name} must be positive, not {seconds}")
    allowed = getattr(declaration, "max_delivery_count", 1)
    if allowed < 1:
        raise ValueError(f"max_delivery_count must be at least 1, not {allowed}")
