"""How messages are asked for: how many, for how long, and what to make of an empty answer."""

import time

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver

from penstock_servicebus._calls import calling
from penstock_servicebus._errors import ServiceBusUnavailable
from penstock_servicebus._idle_call import IdleCall
from penstock_servicebus._intake import Intake
from penstock_servicebus._pace import Pace
from penstock_servicebus._sdk_internals import patient, withdraw_credit

_GLANCE = 0.05  # s a call for one message may last while others are worked on: what they decide waits that long
_SWEEP = 0.02  # s a call for several may last: the SDK returns the first ones only when it has all, or at the end
_SWEEP_EACH = 0.001  # s more for each message asked for: what arrives after the end goes back, and has to come again
_MOST = 64  # messages asked for in one call
_IDLE_TURN = 1.0  # s the socket is read at a stretch on an idle queue; between two the SDK sees to tokens
_SHORTEST = 0.001  # s; the SDK wants more than zero
_HASTY_CALLS = 3  # empty answers far too early that mean a dead link
_SILENCE = 30.0  # s without a message until the broker is asked for a sign of life
_BEYOND_ALL = 2**63 - 1  # a sequence number no message has: to be told of none costs the least

Messages = list[ServiceBusReceivedMessage]


class Reception:
    """The receive calls of one owner."""

    def __init__(self, intake: Intake, pace: Pace) -> None:
        self._intake = intake
        self._pace = pace
        self._window = 1
        self._asking = False
        self._hasty = 0
        self._heard_at = time.monotonic()
        self._idle_call = IdleCall()

    def interrupt(self) -> None:
        """End a call on an idle queue now."""
        self._idle_call.interrupt()

    async def receive(self, receiver: ServiceBusReceiver, free: int, *, busy: bool, until: float) -> Messages:
        """Ask for messages, at most as many as there is room for.

        Args:
            receiver: Whom to ask.
            free: How many could be used.
            busy: Whether others are worked on, whose end must be noticed soon.
            until: Seconds after which something else must be done.

        Raises:
            ServiceBusUnavailable: The link is broken.
        """
        # A call for several returns late when not all come, and what comes after it goes back. So as many are asked for
        # as the queue has shown to have, and this process to take: twice as many after each call that brought all.
        room = self._intake.room(min(free, self._window))
        if room == 0:
            return []
        messages: Messages = []
        self._asking = True
        try:
            if busy or room > 1:
                wait = max(min(_GLANCE if room == 1 else _SWEEP + room * _SWEEP_EACH, until), _SHORTEST)
                async with calling("receive messages", wait=wait):
                    messages = await receiver.receive_messages(room, max_wait_time=wait)
            else:
                messages = await self._await_one(receiver, max(min(self._pace.seconds, until), _SHORTEST))
        finally:
            self._intake.took(len(messages), of=room)
        self._pace.found(anything=bool(messages))
        if messages:
            self._heard_at = time.monotonic()
        self._window = min(2 * max(room, self._window), _MOST) if len(messages) == room else max(len(messages) // 2, 1)
        self._asking = len(messages) < room
        return messages

    async def pause(self, receiver: ServiceBusReceiver) -> None:
        """Let nothing arrive until the next call; what is on its way goes back.

        Raises:
            ServiceBusUnavailable: The link is broken.
        """
        if self._asking:
            async with calling("stop receiving"):
                await withdraw_credit(receiver)
            self._asking = False

    async def _await_one(self, receiver: ServiceBusReceiver, wait: float) -> Messages:
        """Wait for one message on an idle queue; `interrupt` ends the call early.

        Cancelling is safe here: a call for one message holds none until it returns.
        """
        await self._make_sure(receiver)
        began = time.monotonic()
        with patient(receiver, min(wait, _IDLE_TURN)):
            async with calling("receive messages", wait=wait):
                messages = await self._idle_call.wait_for(receiver.receive_messages(1, max_wait_time=wait))
        if messages is None:
            return []
        took = time.monotonic() - began
        self._believe(messages, took, wait)
        if not messages:
            self._intake.heard_nothing(took)
        return messages

    async def _make_sure(self, receiver: ServiceBusReceiver) -> None:
        """Ask the broker something now and then: a connection that says nothing any more looks like an empty queue."""
        if time.monotonic() - self._heard_at < _SILENCE:
            return
        async with calling("hear from the broker"):
            await receiver.peek_messages(1, sequence_number=_BEYOND_ALL)
        self._heard_at = time.monotonic()

    def _believe(self, messages: Messages, took: float, wait: float) -> None:
        """A dead link may answer "nothing" at once and for ever (the SDK's #18795): then it must be made anew."""
        self._hasty = 0 if messages or took >= wait / 2 else self._hasty + 1
        if self._hasty >= _HASTY_CALLS:
            self._hasty = 0
            raise ServiceBusUnavailable("receive messages", TimeoutError())
