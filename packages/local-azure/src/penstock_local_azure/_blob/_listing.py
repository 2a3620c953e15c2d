"""Paging through sorted names: prefix, delimiter, marker and page size, without looking at names outside the page."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_RESULTS = 5_000
"""The most entries that one page holds, and the page size when none is asked for (Microsoft, "List Blobs")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a client asks a listing for.

    Attributes:
        prefix: Only names that begin with it.
        delimiter: Names that hold it after the prefix are folded into one prefix entry; empty: nothing is folded.
        marker: Where to go on, as the page before said; empty: from the start.
        limit: Entries on the page, folded ones included, 1 to 5000.
    """

    prefix: str = ""
    delimiter: str = ""
    marker: str = ""
    limit: int = MAX_RESULTS


@dataclass(slots=True)
class Page:
    """One page of a listing.

    Attributes:
        names: Names on the page, sorted.
        prefixes: Folded prefixes on the page, sorted.
        next_marker: Where the next page begins; empty: this is the last one.
    """

    names: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    next_marker: str = ""


def page(names: Sequence[str], query: Query) -> Page:
    """The page of ``names`` (sorted) that ``query`` asks for.

    A marker is the first name of the next page, so names that come or go between two pages shift nothing.
    """
    found = Page()
    index = bisect_left(names, max(query.prefix, query.marker))
    while index < len(names) and names[index].startswith(query.prefix):
        if len(found.names) + len(found.prefixes) == query.limit:
            found.next_marker = names[index]
            break
        folded = _folded(names[index], query)
        if folded is None:
            found.names.append(names[index])
            index += 1
        else:
            found.prefixes.append(folded)
            index = _behind(names, folded, index)
    return found


def _folded(name: str, query: Query) -> str | None:
    """The prefix entry that stands for ``name``, or None when the name stands for itself."""
    if not query.delimiter:
        return None
    end = name.find(query.delimiter, len(query.prefix))
    return None if end < 0 else name[: end + len(query.delimiter)]


def _behind(names: Sequence[str], prefix: str, index: int) -> int:
    """The index of the first name from ``index`` on that does not begin with ``prefix``."""
    return bisect_left(names, True, index, key=lambda name: not name.startswith(prefix))  # noqa: FBT003  # the key's value looked for
