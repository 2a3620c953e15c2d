"""What a namespace contains, as its user declares it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the local Service Bus.

    Args:
        name: Its path; compared without regard to case, as the service does.
        lock_duration: Seconds a received message stays locked; the service's default is 60, its range 5 to 300.
            Shorter is allowed here, for tests.
        max_delivery_count: Deliveries after which a message that comes back is dead-lettered (service default 10).
        duplicate_detection: Seconds for which message ids are remembered and repetitions dropped (the service allows
            20 s to 7 days); None: no detection.

    Raises:
        ValueError: if the name is blank, or a number is not positive.
    """

    name: str
    lock_duration: float = 60.0
    max_delivery_count: int = 10
    duplicate_detection: float | None = None

    def __post_init__(self) -> None:
        if not self.name.strip("/ "):
            raise ValueError("name must not be blank")
        if self.lock_duration <= 0:
            raise ValueError(f"lock_duration must be positive, not {self.lock_duration}")
        if self.max_delivery_count < 1:
            raise ValueError(f"max_delivery_count must be at least 1, not {self.max_delivery_count}")
        if self.duplicate_detection is not None and self.duplicate_detection <= 0:
            raise ValueError(f"duplicate_detection must be positive or None, not {self.duplicate_detection}")
