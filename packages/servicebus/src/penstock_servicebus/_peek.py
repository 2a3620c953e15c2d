"""The command `peek`: look at messages without receiving them."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver

from penstock_servicebus._calls import calling
from penstock_servicebus._command_line import PeekOptions
from penstock_servicebus._connection import Connection
from penstock_servicebus._link import Link
from penstock_servicebus._listing import Listing, listing_of
from penstock_servicebus._listing_text import table
from penstock_servicebus._terminal import remark, say, say_json, style_of_output

_PAGE = 100  # messages asked for at once


async def browse(
    receiver: ServiceBusReceiver, *, start: int = 1, limit: float = float("inf")
) -> AsyncIterator[ServiceBusReceivedMessage]:
    """Look at up to `limit` messages in order of their sequence numbers, from `start` on; none is locked.

    Raises:
        ServiceBusUnavailable: The queue cannot be asked.
    """
    while limit > 0:
        async with calling("peek"):
            page = await receiver.peek_messages(int(min(limit, _PAGE)), sequence_number=start)
        if not page:
            return
        for message in page:
            yield message
        start = (page[-1].sequence_number or 0) + 1
        limit -= len(page)


async def peek(options: PeekOptions, connection: Connection) -> int:
    """Show messages, and return the exit status.

    Raises:
        ServiceBusUnavailable: The queue cannot be asked.
    """
    make = partial(options.entity.receiver, connection.client, dead_letters=options.dead_letters)
    place = f"dead letters of {options.entity}" if options.dead_letters else str(options.entity)
    link = Link(place, make, random.random)
    try:
        shown = await _show(options, await link.get())
    finally:
        await link.close()
    if not shown:
        remark(f"nothing in the {place}" if options.dead_letters else f"nothing in {place}")
    elif len(shown) == options.limit:
        remark(f"there may be more: --from {shown[-1].sequence_number + 1}")
    return 0


async def _show(options: PeekOptions, receiver: ServiceBusReceiver) -> list[Listing]:
    """Show what there is, and return it."""
    shown: list[Listing] = []
    now = datetime.now(UTC)
    async for message in browse(receiver, start=options.start, limit=options.limit):
        shown.append(listing_of(message, str(options.entity)))
        if options.json:
            say_json(shown[-1].as_json(now, with_body=options.body))
    if not options.json:
        for line in table(shown, now, style_of_output(), with_body=options.body):
            say(line)
    return shown
