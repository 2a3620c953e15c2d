"""How a message leaves a handler."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["completed", "retried", "abandoned", "dead-lettered", "released", "lock-lost"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the owner of the receiver shall do with a message, and what people shall read about it.

    Attributes:
        outcome: `completed` and `retried` complete it, the others do as they say.
        reason: Why it is dead-lettered or released.
        description: The dead letter's description: types, fields and ids, no content.
        error: Name of the error behind it, if there was one.
    """

    outcome: Outcome
    reason: str = ""
    description: str = ""
    error: str = ""
