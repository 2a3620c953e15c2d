"""Conditional requests: what If-Match and its siblings ask, and whether a resource meets it."""

from dataclasses import dataclass
from typing import Protocol

from ._refusal import NotModified, Refusal


class Versioned(Protocol):
    """A resource with a version: a container or a committed blob."""

    @property
    def etag(self) -> str:
        """The version, in quotes as it travels in headers."""

    @property
    def modified(self) -> float:
        """Seconds since the epoch of the last change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The conditional headers of one request.

    Source: Microsoft, "Specifying conditional headers for Blob service operations". Times are compared in whole
    seconds, the resolution of the headers.

    Attributes:
        if_match: ETags of which one must be the resource's, or ``("*",)`` for any; empty: no condition.
        if_none_match: ETags of which none may be the resource's, or ``("*",)``: the resource must not exist.
        if_modified_since: The resource must be younger than this (seconds since the epoch).
        if_unmodified_since: The resource must not be younger than this (seconds since the epoch).
    """

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_modified_since: float | None = None
    if_unmodified_since: float | None = None

    def check_read(self, found: Versioned | None) -> None:
        """Let a read of ``found`` (None: nothing is there) pass, or raise.

        Raises:
            Refusal: ConditionNotMet, when the client wanted another version, or any and there is none;
                UnsatisfiableCondition, when it wanted none.
            NotModified: When the client has this version already.
        """
        if self.create_only:
            raise Refusal("UnsatisfiableCondition")
        if found is None:
            self._check_absence()
            return
        if not (self._matches(found) and self._unmodified(found)):
            raise Refusal("ConditionNotMet")
        # Either of the two is enough, when both are given: "If-None-Match || If-Modified-Since".
        wanted = [self._differs(found)] if self.if_none_match else []
        wanted += [self._changed(found)] if self.if_modified_since is not None else []
        if wanted and not any(wanted):
            raise NotModified

    def check_write(self, found: Versioned | None) -> None:
        """Let a write over ``found`` (None: nothing is there), or its removal, pass, or raise.

        Raises:
            Refusal: ConditionNotMet. An ETag decides alone where a time is given beside it.
        """
        if found is None:
            self._check_absence()
            return
        as_wanted = self._matches(found) if self.if_match else self._unmodified(found)
        as_changed = self._differs(found) if self.if_none_match else self._changed(found)
        if not (as_wanted and as_changed):
            raise Refusal("ConditionNotMet")

    @property
    def create_only(self) -> bool:
        """Whether a write may happen only where nothing is."""
        return "*" in self.if_none_match

    def _check_absence(self) -> None:
        if self.if_match:
            raise Refusal("ConditionNotMet")

    def _matches(self, found: Versioned) -> bool:
        return not self.if_match or "*" in self.if_match or found.etag in self.if_match

    def _differs(self, found: Versioned) -> bool:
        return not self.create_only and found.etag not in self.if_none_match

    def _changed(self, found: Versioned) -> bool:
        return self.if_modified_since is None or int(found.modified) > self.if_modified_since

    def _unmodified(self, found: Versioned) -> bool:
        return self.if_unmodified_since is None or int(found.modified) <= self.if_unmodified_since


ALWAYS = Conditions()
"""No condition at all."""
