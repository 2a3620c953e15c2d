"""Listings for a person: a line of facts for each message, and below it why it is where it is."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime

from penstock_servicebus._listing import Listing
from penstock_servicebus._terminal import Style, printable

_INDENT = " " * 10
_UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))


def table(listings: Sequence[Listing], now: datetime, style: Style, *, with_body: bool) -> Iterator[str]:
    """The lines of a table; ids stand last and are never cut, so that they can be copied."""
    if not listings:
        return
    width = max(len("SEQUENCE"), *(len(str(listing.sequence_number)) for listing in listings))
    yield style.bold(f"{'SEQUENCE':>{width}}  ATTEMPT       AGE        SIZE  ID")
    for listing in listings:
        attempt, age, size = listing.identity.attempt + 1, duration(listing.age(now)), volume(listing.body)
        line = f"{listing.sequence_number:>{width}}  {attempt:>7}  {age:>8}  {size:>10}  "
        line += printable(listing.identity.message_id)
        origin = f"of {printable(listing.identity.origin_id)}" if listing.identity.copies else ""
        fits = len(line) + len(origin) < style.width
        yield f"{line} {origin}".rstrip() if fits else line
        if not fits and origin:
            yield style.dim(_INDENT + origin)
        for more in _wrapped(_circumstances(listing, now), style.width):
            yield style.dim(more)
        if with_body:
            yield from _body(listing)


def duration(seconds: float | None) -> str:
    """A time span in its largest unit."""
    if seconds is None:
        return "-"
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def volume(body: bytes | None) -> str:
    """The size of a body in its largest unit."""
    if body is None:
        return "-"
    size = float(len(body))
    for unit in ("B", "KiB"):
        if size < 1024:  # noqa: PLR2004 - what a KiB and a MiB are
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} MiB"


def _circumstances(listing: Listing, now: datetime) -> str:
    """Why the message is where it is, if there is anything to say."""
    parts = []
    if listing.state != "active":
        due = "" if listing.due is None else f", due in {duration(max((listing.due - now).total_seconds(), 0.0))}"
        parts.append(listing.state + due)
    if listing.session_id is not None:
        parts.append(f"session {printable(listing.session_id)}")
    if listing.reason or listing.description:
        parts.append(": ".join(printable(text) for text in (listing.reason, listing.description) if text))
    return "; ".join(parts)


def _wrapped(text: str, width: int) -> list[str]:
    """Text set in, and broken between words only."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _body(listing: Listing) -> Iterator[str]:
    """The body between two blank lines, so that it can be told from what is said about it."""
    text = "not text or bytes" if listing.body is None else listing.body.decode("utf-8", "backslashreplace")
    yield ""
    yield from (_INDENT + printable(line) for line in text.splitlines())
    yield ""
