"""The owner of one session after another: one message at a time and in order, as long as the session has any.

A lost connection ends a session: its lock may be somebody else's before this owner is back, so its work is given up at
once rather than done beside another's.
"""

import asyncio
import logging
import math
from datetime import datetime

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import OperationTimeoutError, SessionCannotBeLockedError

from penstock_servicebus._calls import calling
from penstock_servicebus._errors import LockLost, ServiceBusUnavailable
from penstock_servicebus._held import Held
from penstock_servicebus._idle_call import IdleCall
from penstock_servicebus._link import Link
from penstock_servicebus._lookout import Lookout
from penstock_servicebus._owner import Shared
from penstock_servicebus._sdk_internals import withdraw_credit
from penstock_servicebus._session import OwnedSession
from penstock_servicebus._settlement import LOCK_LOST
from penstock_servicebus._verdict import Verdict
from penstock_servicebus._wakeup import Wakeup

_logger = logging.getLogger(__name__)

_LINGER = 1.0  # s an empty session is kept: longer than its sender needs for the next message, shorter than others wait
_LOOK_AGAIN = 0.5  # s until looking again whether messages may be received
_SOONEST = 0.25  # s between two renewals, also if this clock is ahead of the broker's
_SHORTEST = 0.001  # s; the SDK wants more than zero
_NONE_TO_HAVE = (OperationTimeoutError, SessionCannotBeLockedError)  # how the broker says that no session is free


class SessionOwner:
    """Works off sessions, one at a time.

    Args:
        link: Makes receivers of the next session that is free.
        lookout: Whose turn it is to look for one.
        shared: What all owners use.
    """

    def __init__(self, link: Link[ServiceBusReceiver], lookout: Lookout, shared: Shared) -> None:
        self._link = link
        self._lookout = lookout
        self._shared = shared
        self._idle_call = IdleCall()
        self._renew_at = math.inf
        self._wakeup = Wakeup()
        self._work: asyncio.Task[Verdict] | None = None

    async def open(self) -> None:
        """Look for a session once, all owners together: whether there is one or not, the queue is there."""
        if self._lookout.is_first():
            await self._accept()

    async def close(self) -> None:
        """Close the receiver, which frees its session."""
        self.abandon_work()
        await self._link.close()

    def look_around(self) -> None:
        """The intake was stopped: do not sit out an idle call."""
        self._idle_call.interrupt()
        self._wakeup.ring()

    def abandon_work(self) -> None:
        """Cancel the work that is still going on; its message goes back."""
        if self._work is not None:
            self._work.cancel()

    async def run(self) -> None:
        """Work off sessions until the intake is stopped."""
        while not self._shared.intake.stopped:
            try:
                if (receiver := await self._lookout.look(self._accept)) is not None:
                    await self._serve(receiver)
                await self._link.close()
            except LockLost as error:
                _logger.warning("a session was lost: %s", error)
                await self._link.close()
            except ServiceBusUnavailable as error:
                self._shared.intake.busy()
                await self._link.broke(error)
                await self._wakeup.wait(self._link.delay)

    async def _accept(self) -> ServiceBusReceiver | None:
        """Wait for a session that is free; None if there is none."""
        shared = self._shared
        if not shared.may_take():
            shared.intake.stop_if_done(shared.counts.in_progress)
            await self._wakeup.wait(0.0 if shared.intake.stopped else _LOOK_AGAIN)
            return None
        began = shared.clock.monotonic()
        try:
            receiver = await self._idle_call.wait_for(self._link.get())
        except ServiceBusUnavailable as error:
            if not isinstance(error.__cause__, _NONE_TO_HAVE):
                raise
            receiver = None
        shared.pace.found(anything=receiver is not None)
        if receiver is None:
            shared.intake.heard_nothing(shared.clock.monotonic() - began)
            shared.intake.stop_if_done(shared.counts.in_progress)
        return receiver

    async def _serve(self, receiver: ServiceBusReceiver) -> None:
        """Work off one session until it stays empty.

        Raises:
            ServiceBusUnavailable, LockLost: The session is lost.
        """
        self._link.works()
        session = OwnedSession(receiver.session, self._wakeup)
        self._hold(receiver.session.locked_until_utc)
        try:
            while (message := await self._next(receiver)) is not None:
                await self._see_through(receiver, session, self._shared.custody.take(message, session))
        finally:
            session.close()

    async def _next(self, receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage | None:
        """The session's next message; None if it stays empty, or no more may be taken."""
        shared, now = self._shared, self._shared.clock.monotonic
        give_up_at = now() + _LINGER
        while now() < give_up_at and not shared.intake.stopped:
            await self._renew(receiver)
            wait = max(min(give_up_at, self._renew_at) - now(), _SHORTEST)
            if not shared.may_take() or shared.intake.room(1) == 0:
                await self._wakeup.wait(min(wait, _LOOK_AGAIN))
            elif messages := await self._receive(receiver, wait):
                return messages[0]
        async with calling("stop receiving"):
            await withdraw_credit(receiver)
        return None

    async def _receive(self, receiver: ServiceBusReceiver, wait: float) -> list[ServiceBusReceivedMessage]:
        """Wait for the one message there is room for; cancelling is safe, as no call holds one until it returns."""
        messages: list[ServiceBusReceivedMessage] = []
        try:
            async with calling("receive messages", wait=wait):
                messages = await self._idle_call.wait_for(receiver.receive_messages(1, max_wait_time=wait)) or []
        finally:
            self._shared.intake.took(len(messages), of=1)
        return messages

    async def _see_through(self, receiver: ServiceBusReceiver, session: OwnedSession, held: Held) -> None:
        """Bring one message to its end, keeping the session meanwhile."""
        shared = self._shared
        self._work = work = asyncio.create_task(shared.processing.bring_to_verdict(held, lambda: None))
        work.add_done_callback(lambda _: self._wakeup.ring())
        try:
            while not work.done():
                await session.answer()
                await self._renew(receiver)
                await self._wakeup.wait(self._renew_at - shared.clock.monotonic())
            held.verdict = Verdict("released", reason="stopped") if work.cancelled() else work.result()
            verdict = await shared.custody.settle(receiver, held)
        except (LockLost, ServiceBusUnavailable):
            work.cancel()
            await asyncio.wait([work])
            shared.custody.close(held, LOCK_LOST)
            raise
        if verdict is LOCK_LOST:  # the message goes first again, once its session is given back
            raise LockLost("the lock of one of its messages is gone")
        shared.intake.busy()  # nobody else can see whether this session is empty
        shared.intake.stop_if_done(shared.counts.in_progress)

    async def _renew(self, receiver: ServiceBusReceiver) -> None:
        """Renew the session's lock if that is due.

        Raises:
            LockLost: It is too late for that.
            ServiceBusUnavailable: The link is broken.
        """
        if self._shared.clock.monotonic() >= self._renew_at:
            async with calling("renew a session's lock"):
                self._hold(await receiver.session.renew_lock())
            self._shared.counts.locks_renewed += 1

    def _hold(self, until: datetime | None) -> None:
        """Take note of how long the session is ours."""
        clock = self._shared.clock
        life = math.inf if until is None else until.timestamp() - clock.wall()
        self._renew_at = clock.monotonic() + max(life / 2, _SOONEST)
