"""The command `resubmit`: move dead letters back to work.

What to move is decided by looking, before anything is received: so no more is moved than was there at the start, even
if workers set the same messages aside again meanwhile. A copy is accepted by its queue before its dead letter is
completed. Whatever ends this program in between, the next run sends the copy again under the same id.
"""

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from functools import partial
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender

from penstock_servicebus._calls import calling
from penstock_servicebus._command_line import ResubmitOptions
from penstock_servicebus._connection import Connection
from penstock_servicebus._errors import (
    LockLost,
    ServiceBusHandlerError,
    UndecodableMessage,
    UnsendableResult,
)
from penstock_servicebus._link import Link
from penstock_servicebus._listing import Listing, listing_of
from penstock_servicebus._messages import resubmission
from penstock_servicebus._moves import Moves
from penstock_servicebus._peek import browse
from penstock_servicebus._sdk_internals import release

_BATCH = 20  # messages received at once: few enough to be moved before the first one's lock expires
_PATIENCE = 2.0  # s to wait for a dead letter that should be there


async def resubmit(options: ResubmitOptions, connection: Connection) -> int:
    """Move dead letters, and return the exit status.

    Raises:
        ServiceBusUnavailable: A queue cannot be reached.
    """
    make_receiver = partial(options.entity.receiver, connection.client, dead_letters=True)
    receivers = Link(f"dead letters of {options.entity}", make_receiver, random.random)
    senders = Link(options.to, partial(connection.sender, options.to), random.random)
    moves = Moves(as_json=options.json, dry_run=options.dry_run)
    try:
        receiver, sender = await asyncio.gather(receivers.get(), senders.get())
        chosen = await _choose(options, receiver, moves)
        if not options.dry_run:
            await _Mover(receiver, sender, chosen, moves).move_all()
    finally:
        moves.sum_up()
        await asyncio.gather(receivers.close(), senders.close())
    return 1 if moves.failed else 0


async def _choose(options: ResubmitOptions, receiver: ServiceBusReceiver, moves: Moves) -> dict[int, Listing]:
    """The dead letters to move, by sequence number."""
    chosen: dict[int, Listing] = {}
    missing = set(options.ids)
    async for message in browse(receiver):
        listing = listing_of(message, str(options.entity))
        if not _takes(options, listing):
            continue
        chosen[listing.sequence_number] = listing
        moves.choose(listing)
        missing -= {listing.identity.message_id, listing.identity.origin_id}
        if len(chosen) == options.limit:
            return chosen
    for unknown in sorted(missing):
        moves.not_found(unknown)
    return chosen


def _takes(options: ResubmitOptions, listing: Listing) -> bool:
    """Whether a dead letter is among those asked for."""
    if options.ids:
        return not options.ids.isdisjoint((listing.identity.message_id, listing.identity.origin_id))
    return options.reason is None or listing.reason == options.reason


class _Mover:
    """Receives dead letters in order, moves those chosen, and gives the others back."""

    def __init__(
        self, receiver: ServiceBusReceiver, sender: ServiceBusSender, chosen: dict[int, Listing], moves: Moves
    ) -> None:
        self._receiver = receiver
        self._sender = sender
        self._waiting = chosen
        self._moves = moves
        self._held: dict[int, ServiceBusReceivedMessage] = {}

    async def move_all(self) -> None:
        """Move what is chosen, and tell of each what came of it."""
        try:
            came_round = False
            while self._waiting and not came_round:
                received = await self._receive()
                if not received:
                    break
                came_round = not self._held.keys().isdisjoint(received)
                self._held |= received
                for number in received:
                    if number in self._waiting:
                        await _uninterrupted(self._move(number))
            for number, listing in self._waiting.items():
                self._moves.fail(listing, await self._why_not(number, came_round=came_round))
        finally:
            await self._give_back()

    async def _receive(self) -> dict[int, ServiceBusReceivedMessage]:
        """The next few dead letters, by sequence number; none if all that remain are locked by others."""
        async with calling("receive dead letters", wait=_PATIENCE):
            messages = await self._receiver.receive_messages(_BATCH, max_wait_time=_PATIENCE)
        return {message.sequence_number or 0: message for message in messages}

    async def _move(self, number: int) -> None:
        """Send the copy, then complete the dead letter."""
        message, listing = self._held[number], self._waiting.pop(number)
        try:
            copy = resubmission(message, listing.identity)
            async with calling("send a copy"):
                await self._sender.send_messages(copy)
        except (UndecodableMessage, UnsendableResult) as error:
            self._moves.fail(listing, str(error))
            return
        try:
            async with calling("complete a dead letter"):
                await self._receiver.complete_message(message)
        except LockLost:
            self._moves.fail(listing, "its copy is sent, but its lock was lost; moving it again sends the same copy")
        else:
            self._moves.succeed(listing)
        del self._held[number]

    async def _why_not(self, number: int, *, came_round: bool) -> str:
        """Why a dead letter that was there did not arrive."""
        async with calling("peek"):
            found = await self._receiver.peek_messages(1, sequence_number=number)
        if not found or found[0].sequence_number != number:
            return "gone: somebody else settled it"
        if found[0].state.name == "DEFERRED":
            return "it is deferred"
        return "not reached: locks on those before it expire too soon" if came_round else "locked by another receiver"

    async def _give_back(self) -> None:
        """Give back what is held; a lock that cannot be given back expires."""
        for message in self._held.values():
            with contextlib.suppress(ServiceBusHandlerError):
                async with calling("give a dead letter back"):
                    await release(self._receiver, message)


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Finish `work` even if this task is cancelled meanwhile, so that no message is left half moved."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.result()
        raise
