"""The account of a resubmission: what was chosen, what came of it, and the lines that say so."""

from typing import Any

from penstock_servicebus._listing import VERSION, Listing
from penstock_servicebus._terminal import printable, remark, say, say_json


class Moves:
    """Tells of each message as soon as it is decided, and sums up at the end.

    Args:
        as_json: Whether a program reads it.
        dry_run: Whether nothing is to be moved.
    """

    def __init__(self, *, as_json: bool, dry_run: bool) -> None:
        self._as_json = as_json
        self._dry_run = dry_run
        self._chosen = 0
        self._moved = 0
        self.failed = 0

    def choose(self, listing: Listing) -> None:
        """A message is to be moved."""
        self._chosen += 1
        if self._dry_run:
            self._tell(listing, "planned", f"would be moved as {_new_id(listing)}")

    def succeed(self, listing: Listing) -> None:
        """A message was moved."""
        self._moved += 1
        self._tell(listing, "moved", f"moved as {_new_id(listing)}")

    def fail(self, listing: Listing, problem: str) -> None:
        """A message was not moved, or only half."""
        self.failed += 1
        self._tell(listing, "failed", f"not moved: {problem}", problem=problem)

    def not_found(self, message_id: str) -> None:
        """No dead letter has this id."""
        self.failed += 1
        problem = "no such dead letter"
        if self._as_json:
            say_json({"v": VERSION, "id": message_id, "outcome": "failed", "problem": problem})
        else:
            say(f"{printable(message_id)}: {problem}")

    def sum_up(self) -> None:
        """Tell the whole in one sentence."""
        if self._dry_run:
            remark(f"{self._chosen} would be moved")
            return
        left = self._chosen - self._moved
        remark(f"{self._moved} moved" + (f", {left} left" if left else "") if self._chosen else "nothing to move")

    def _tell(self, listing: Listing, outcome: str, words: str, **more: Any) -> None:  # noqa: ANN401 - JSON
        identity = listing.identity
        if not self._as_json:
            say(f"{printable(identity.message_id)} {words}")
            return
        facts = {
            "v": VERSION,
            "sequence_number": listing.sequence_number,
            "id": identity.message_id,
            "origin": identity.origin_id,
            "new_id": identity.resubmission().message_id,
            "reason": listing.reason,
            "outcome": outcome,
        }
        say_json(facts | more)


def _new_id(listing: Listing) -> str:
    return printable(listing.identity.resubmission().message_id)
