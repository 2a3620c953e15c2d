"""What a run asks of the owner of a receiver, and what all of them share."""

from dataclasses import dataclass
from typing import Protocol

from penstock_servicebus._clock import Clock
from penstock_servicebus._custody import Custody
from penstock_servicebus._gate import Gate
from penstock_servicebus._intake import Intake
from penstock_servicebus._pace import Pace
from penstock_servicebus._processing import Processing
from penstock_servicebus._statistics import Counts


@dataclass(frozen=True, slots=True)
class Shared:
    """What all owners of a handler use together."""

    processing: Processing
    custody: Custody
    gate: Gate
    intake: Intake
    pace: Pace
    counts: Counts
    clock: Clock

    def may_take(self) -> bool:
        """Whether a message may be received now."""
        held = self.counts.in_progress + self.intake.asked_for
        return not self.intake.stopped and not self.intake.exhausted and self.gate.may_take(held)


class Owner(Protocol):
    """The only coroutine that uses one receiver after another, or for ever the same one."""

    async def open(self) -> None:
        """Open what can be opened before there is work, so that a wrong name shows at the start.

        Raises:
            ServiceBusUnavailable: It cannot be opened.
        """

    async def run(self) -> None:
        """Work until the intake is stopped and everything held is settled."""

    def look_around(self) -> None:
        """The intake was stopped: do not sit out an idle call."""

    def abandon_work(self) -> None:
        """Cancel all work that is still going on; its messages go back."""

    async def close(self) -> None:
        """Close the receiver; what it has buffered goes back."""
