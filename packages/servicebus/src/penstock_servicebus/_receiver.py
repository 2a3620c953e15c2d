"""The owner of one receiver: the only coroutine that receives, renews and settles on it.

An SDK receiver is not safe for concurrent use; ten settlements at once are twenty times slower than ten in a row. So
messages are worked on in tasks of their own, and what these decide comes back here to be carried out.
"""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver

from penstock_servicebus._calls import calling
from penstock_servicebus._errors import LockLost, ServiceBusUnavailable
from penstock_servicebus._held import Held
from penstock_servicebus._leases import Leases
from penstock_servicebus._link import Link
from penstock_servicebus._owner import Shared
from penstock_servicebus._reception import Reception
from penstock_servicebus._settlement import LOCK_LOST, complete_together
from penstock_servicebus._slots import Slots
from penstock_servicebus._verdict import Verdict
from penstock_servicebus._wakeup import Wakeup

_logger = logging.getLogger(__name__)

_LOOK_AGAIN = 0.5  # s until looking again whether messages may be received
_ENOUGH_LOCK = 1.0  # s; a message with less of its lock left could be lost before its first renewal


@dataclass(frozen=True, slots=True)
class Terms:
    """What one owner may do.

    Attributes:
        slots: Messages worked on at once.
        ahead: Messages kept ready beyond those, however long the work takes.
        keep_lock: Seconds a lock is renewed at most.
    """

    slots: int
    ahead: int
    keep_lock: float


class ReceiverOwner:
    """Runs one receiver: takes messages, starts their work, keeps their locks, and settles them."""

    def __init__(self, link: Link[ServiceBusReceiver], terms: Terms, shared: Shared) -> None:
        self._link = link
        self._terms = terms
        self._shared = shared
        self._reception = Reception(shared.intake, shared.pace)
        self._held: dict[int, Held] = {}
        self._slots = Slots(terms.slots, terms.ahead, shared.clock.monotonic)
        self._decided: dict[int, Held] = {}
        self._leases = Leases()
        self._wakeup = Wakeup()
        self._rest_until = 0.0
        self._fault: BaseException | None = None

    async def open(self) -> None:
        """Open the receiver now, so that a wrong name shows at the start.

        Raises:
            ServiceBusUnavailable: It cannot be opened.
        """
        await self._link.get()

    async def close(self) -> None:
        """Close the receiver; what it has buffered goes back."""
        self.abandon_work()
        await self._link.close()

    async def run(self) -> None:
        """Work until the intake is stopped and everything held is settled."""
        while not self._finished():
            try:
                await self._turn(await self._link.get())
            except ServiceBusUnavailable as error:
                self._shared.intake.busy()
                await self._link.broke(error)
                await self._wakeup.wait(self._link.delay)

    def look_around(self) -> None:
        """The intake was stopped: do not sit out an idle call, and let go of what was not begun."""
        for held in self._slots.clear():
            self._decide(held, Verdict("released", reason="stopped"))
        self._reception.interrupt()
        self._wakeup.ring()

    def abandon_work(self) -> None:
        """Cancel all work that is still going on; its messages go back."""
        for held in self._held.values():
            if held.task is not None:
                held.task.cancel()

    async def _turn(self, receiver: ServiceBusReceiver) -> None:
        """Settle what is decided, renew what is due, take what there is room for; wait only if there is none."""
        if self._shared.intake.stopped:
            await self._reception.pause(receiver)  # or what is given back now would come back here
        await self._settle(receiver)
        await self._renew(receiver)
        if self._held:
            self._shared.intake.busy()
        self._shared.intake.stop_if_done(self._shared.counts.in_progress)
        if self._finished() or self._decided:
            return
        if free := self._free():
            await self._take(receiver, free)
        else:
            await self._reception.pause(receiver)
            await self._wakeup.wait(self._until_needed())

    def _finished(self) -> bool:
        """Whether there is nothing left to do here, now or later."""
        if self._fault is not None:
            raise self._fault
        return self._shared.intake.stopped and not self._held

    def _free(self) -> int:
        """How many messages could be used now."""
        if self._shared.clock.monotonic() < self._rest_until or not self._shared.may_take():
            return 0
        return self._slots.room(len(self._held) - len(self._decided))

    def _until_needed(self) -> float:
        """Seconds until something is due even if nobody rings."""
        now = self._shared.clock.monotonic()
        due = self._leases.next_due(now)
        waits_for_more = self._shared.gate.is_shut or now < self._rest_until
        return min(due, _LOOK_AGAIN) if waits_for_more else due

    async def _take(self, receiver: ServiceBusReceiver, free: int) -> None:
        """Receive messages for free slots and begin the work on them."""
        intake = self._shared.intake
        until = min(self._leases.next_due(self._shared.clock.monotonic()), intake.quiet_left)
        for message in await self._reception.receive(receiver, free, busy=bool(self._held), until=until):
            self._keep(message)
        self._link.works()
        self._start_ready()

    def _keep(self, message: ServiceBusReceivedMessage) -> None:
        """Take charge of a message and its lock, unless too little of that is left."""
        shared = self._shared
        now, locked_until = shared.clock.monotonic(), message.locked_until_utc
        life = locked_until.timestamp() - shared.clock.wall() if locked_until is not None else self._terms.keep_lock
        held = shared.custody.take(message)
        self._held[id(held)] = held
        if life < _ENOUGH_LOCK:
            _logger.warning("a lock just received has %.1f s left: is this clock ahead of the broker's?", life)
            self._rest_until = now + _ENOUGH_LOCK
            self._decide(held, Verdict("released", reason="lock nearly gone"))
            return
        self._leases.hold(id(held), now=now, life=life, keep_for=self._terms.keep_lock)
        self._slots.add(held)

    def _start_ready(self) -> None:
        """Begin the work on as many messages as there are free slots."""
        while (held := self._slots.next()) is not None:
            held.task = asyncio.create_task(self._shared.processing.bring_to_verdict(held, partial(self._worked, held)))
            held.task.add_done_callback(partial(self._ended, held))

    def _worked(self, held: Held) -> None:
        """A slot is free: it goes to the next message at once."""
        self._slots.worked(held)
        self._start_ready()

    def _ended(self, held: Held, task: asyncio.Task[Verdict]) -> None:
        """All that a message needs is done; it can be settled."""
        self._worked(held)
        if task.cancelled():
            self._decide(held, Verdict("released", reason="stopped"))
        elif (error := task.exception()) is not None:
            self._fault = error  # ours: what the user's code raises has become a verdict
            self._wakeup.ring()
        else:
            self._decide(held, task.result())

    def _decide(self, held: Held, verdict: Verdict) -> None:
        """Put a message in line for settling."""
        held.verdict = verdict
        self._decided[id(held)] = held
        self._wakeup.ring()

    async def _settle(self, receiver: ServiceBusReceiver) -> None:
        """Settle what is decided by now, together where that is possible; on a fault the rest stays in line."""
        decided = list(self._decided.values())
        await complete_together(receiver, decided, self._completed)
        for held in decided:
            if id(held) in self._held:
                await self._shared.custody.settle(receiver, held)
                self._let_go(held)

    def _completed(self, held: Held) -> None:
        """A message was completed together with others."""
        self._shared.custody.close(held, held.verdict or LOCK_LOST)
        self._let_go(held)

    def _let_go(self, held: Held) -> None:
        """A message is settled."""
        self._leases.drop(id(held))
        del self._decided[id(held)], self._held[id(held)]

    async def _renew(self, receiver: ServiceBusReceiver) -> None:
        """Renew the locks that are due."""
        clock = self._shared.clock
        for key in self._leases.due(clock.monotonic()):
            held = self._held[key]
            try:
                async with calling("renew a lock"):
                    until = await receiver.renew_message_lock(held.message)
            except LockLost:
                self._leases.drop(key)
            except ServiceBusUnavailable:
                self._leases.postponed(key, now=clock.monotonic())
                raise
            else:
                self._leases.renewed(key, now=clock.monotonic(), life=until.timestamp() - clock.wall())
                self._shared.counts.locks_renewed += 1
