"""What is to be decided in a turn, and who is told: perhaps decided more than once, and told once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from penstock_token_client.accounting import Grant, KeyReusedError, NeverFitsError, QueueFullError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_R = TypeVar("_R")


class Decision(Generic[_T, _R]):
    """Something to decide, and the future that tells what was decided.

    Args:
        make: Decides, at a time; again if what it decided was not kept.
        finish: Makes of what was decided and kept what is told.
        undo: Takes back what was told if nobody listens any more.
    """

    def __init__(self, make: Callable[[float], _T], finish: Callable[[_T], _R], undo: Callable[[_R], None]) -> None:
        self.future: asyncio.Future[_R] = asyncio.get_running_loop().create_future()
        self._make = make
        self._finish = finish
        self._undo = undo
        self._decided: _T | None = None
        self._refusal: Exception | None = None

    @property
    def grant(self) -> Grant | None:
        """The grant that was decided, if one was."""
        return self._decided if isinstance(self._decided, Grant) else None

    def decide(self, now: float) -> None:
        """Decide, unless nobody listens any more."""
        self._decided = self._refusal = None
        try:
            self._decided = None if self.future.done() else self._make(now)
        except (NeverFitsError, KeyReusedError, QueueFullError) as refusal:
            self._refusal = refusal

    def tell(self) -> None:
        """Tell what was decided, which is kept by now."""
        if self._refusal is not None:
            if not self.future.done():
                self.future.set_exception(self._refusal)
            return
        told = self._finish(cast("_T", self._decided))
        if self.future.done():
            self._undo(told)
        else:
            self.future.set_result(told)


def errand(make: Callable[[float], None]) -> Decision[None, None]:
    """Return something to decide of which nobody is told."""
    return Decision(make, _as_it_is, _nothing)


def question(make: Callable[[float], bool]) -> Decision[bool, bool]:
    """Return something to decide that stays so whether its caller listens or not."""
    return Decision(make, _as_it_is, _nothing)


def _as_it_is(value: _T) -> _T:
    """Tell what was decided."""
    return value


def _nothing(_: Any) -> None:  # noqa: ANN401 - whatever was told
    """Take nothing back."""
