"""What holds content does not show it: asyncio prints callbacks of tasks, loggers and debuggers the rest."""

import asyncio
from typing import Any

from azure.servicebus import ServiceBusMessage

from penstock_servicebus import MessageContext, Result
from penstock_servicebus._encoding import Payload
from penstock_servicebus._held import Held
from penstock_servicebus._identity import Identity
from penstock_servicebus._outbox import _Parcel

CANARY = "canary-51c2"


async def test_no_repr_shows_content() -> None:
    message: Any = ServiceBusMessage(CANARY)
    context = MessageContext(message_id="m", origin_id="m", properties={"note": CANARY})
    accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    for thing in (
        Held(message, Identity("m", "m", 0, None), context, 0.0, 0.0),
        Payload(CANARY.encode(), properties={"note": CANARY}),
        Result(CANARY, properties={"note": CANARY}),
        _Parcel([message], accepted),
    ):
        assert CANARY not in repr(thing)
