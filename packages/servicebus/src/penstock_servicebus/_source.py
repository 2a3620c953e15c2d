"""Where messages come from, and what that allows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A queue, or a topic's subscription; with sessions or without."""

    entity: str
    """The queue, or the topic."""

    subscription: str | None = None
    """The topic's subscription; None for a queue."""

    sessions: bool = False
    """Whether it requires sessions."""

    @property
    def path(self) -> str:
        """Its address in the namespace."""
        return self.entity if self.subscription is None else f"{self.entity}/Subscriptions/{self.subscription}"

    @property
    def takes_copies(self) -> bool:
        """Whether a failed message may be sent here again.

        A copy sent to a topic would reach every subscription, and one sent to a session would come out of its order.
        """
        return self.subscription is None and not self.sessions
