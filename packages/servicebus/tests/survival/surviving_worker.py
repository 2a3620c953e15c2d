"""A worker as a process that a test can kill; its one argument is a JSON object, see `main`.

Its log, down to DEBUG for this package, goes to standard error, and what it counted to standard output. It is told by
each message what to do with it, and with `plant` which fault of its own a judge must find.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
import sys
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import aiohttp
from pydantic import BaseModel

from penstock_servicebus import (
    AsyncServiceBusHandler,
    MessageContext,
    _calls,
    _custody,
    _messages,
    _outbox,
    _policy,
    _processing,
    _reception,
)
from penstock_servicebus import _link as _link_module
from penstock_servicebus._custody import Custody
from penstock_servicebus._entity import Entity
from penstock_servicebus._identity import Identity
from penstock_servicebus._policy import Facts, Policy
from penstock_servicebus._processing import Processing
from penstock_servicebus._receiver import ReceiverOwner
from penstock_servicebus._verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage

    from penstock_servicebus._held import Held
    from penstock_servicebus._link import Link


class Errand(BaseModel):
    """What a message asks for: seconds of work, attempts that fail, a refusal, a call of an endpoint."""

    seconds: float = 0.0
    blocked: float = 0.0
    failures: int = 0
    refused: bool = False
    endpoint: str = ""
    text: str = ""
    times: int = 1


class RefusedError(Exception):
    permanent = True


class EndpointAwayError(Exception):
    environment = True


async def work(errand: Errand, context: MessageContext) -> str:
    logging.getLogger("worker").debug("%r", context)
    time.sleep(errand.blocked)  # noqa: ASYNC251 - the point of it
    await asyncio.sleep(errand.seconds)
    if errand.endpoint:
        await call(errand.endpoint)
    if errand.refused:
        raise RefusedError(errand.text)
    if context.attempt <= errand.failures:
        raise RuntimeError(errand.text)
    return errand.text * errand.times or "done"


async def call(endpoint: str) -> None:
    """Ask an endpoint, which may be down."""
    try:
        async with aiohttp.ClientSession() as session, session.post(endpoint) as answer:
            answer.raise_for_status()
    except aiohttp.ClientError as error:
        raise EndpointAwayError from error


# --- faults of its own


def complete_before_the_result_is_sent() -> None:
    send_on = Processing._send_on
    sending = set()

    async def hurry(processing: Processing, *arguments: Any) -> Verdict:
        sending.add(asyncio.ensure_future(send_on(processing, *arguments)))
        return Verdict("completed")

    vars(sys.modules[Processing.__module__])["Processing"]._send_on = hurry


def repeat_the_id_of_the_original() -> None:
    next_copy = Identity.next_copy

    def same(identity: Identity) -> Identity:
        return replace(next_copy(identity), message_id=identity.message_id)

    vars(sys.modules[Identity.__module__])["Identity"].next_copy = same


def forget_to_settle() -> None:
    async def pretend(_receiver: object, _held: object, verdict: Verdict) -> Verdict:
        return verdict

    vars(_custody)["settle"] = pretend


def blame_the_message_for_its_environment() -> None:
    decide = Policy.decide

    def blame(policy: Policy, facts: Facts, **so_far: int) -> object:
        return decide(policy, replace(facts, environment=False), **so_far)

    vars(_policy)["Policy"].decide = blame


def quote_the_error() -> None:
    def quote(error: BaseException) -> str:
        return str(error)

    vars(_policy)["_details"] = quote


def break_down() -> None:
    """Fail where nothing is caught, with a failure of the processor just behind."""

    def fail(_policy: Policy, _facts: Facts, **_so_far: int) -> None:
        raise AssertionError("the handler broke down")

    vars(_policy)["Policy"].decide = fail


def send_copies_wherever_messages_come_from() -> None:
    """Retry by copies in topics and sessions, too."""
    retry_copy = _messages.retry_copy

    def in_its_session(message: ServiceBusReceivedMessage, *arguments: Any) -> ServiceBusMessage:
        copy = retry_copy(message, *arguments)
        copy.session_id = message.session_id
        return copy

    vars(sys.modules[Entity.__module__])["Entity"].takes_copies = True
    vars(_processing)["retry_copy"] = in_its_session


def keep_all_messages() -> None:
    kept = []
    close = Custody.close

    def keep(custody: Custody, held: Held, verdict: Verdict) -> None:
        kept.append(bytearray(b"x") * 200_000)
        close(custody, held, verdict)

    vars(_custody)["Custody"].close = keep


def leave_links_behind() -> None:
    async def leave(_link: Link[Any]) -> None:
        _link._end = _link._wire = None

    vars(_link_module)["Link"].close = leave


def keep_what_waits_at_a_stop() -> None:
    def stay(_owner: ReceiverOwner) -> None:
        pass

    vars(sys.modules[ReceiverOwner.__module__])["ReceiverOwner"].abandon_work = stay


PLANTS: dict[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (
        complete_before_the_result_is_sent,
        repeat_the_id_of_the_original,
        forget_to_settle,
        blame_the_message_for_its_environment,
        quote_the_error,
        break_down,
        send_copies_wherever_messages_come_from,
        keep_all_messages,
        leave_links_behind,
        keep_what_waits_at_a_stop,
    )
}


def lose_patience_soon(seconds: float) -> None:
    """Shorten what usually takes long: the locks of a test are short, too."""
    vars(_calls)["CALL_WITHIN"] = seconds
    vars(_link_module)["_OPEN_WITHIN"] = 2 * seconds
    vars(_link_module)["_CLOSE_WITHIN"] = seconds
    vars(_outbox)["_SLOW_SEND"] = 0.0
    vars(_reception)["_SILENCE"] = 2 * seconds


def take_stock() -> None:
    """Write which tasks there are, what each runs, and how many objects, garbage apart."""
    gc.collect()
    tasks = {task.get_name(): getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    print(json.dumps({"tasks": tasks, "objects": len(gc.get_objects())}), flush=True)  # noqa: T201


async def main(
    *,
    bus: str,
    patience: float = 2.0,
    drain: float = 10.0,
    plant: str = "",
    **options: Any,
) -> None:
    """Work until told to stop."""
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s " + logging.BASIC_FORMAT)
    logging.getLogger("azure").setLevel(logging.WARNING)
    lose_patience_soon(patience)
    if plant:
        PLANTS[plant]()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, take_stock)
    settings = {"max_concurrency": 5, "max_retries": 3, "retry_delay": 0.3, "max_wait_time": 1.0, **options}
    handler = AsyncServiceBusHandler(work, "in", "out", connection_string=bus, **settings)
    logging.getLogger("worker").debug("%r", handler)
    try:
        print(json.dumps(asdict(await handler.run(drain=drain))), flush=True)  # noqa: T201 - its report
    finally:
        logging.getLogger("worker").debug("%r %r", handler, handler.statistics())


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    debug = told.pop("debug", False)
    asyncio.run(main(**told), debug=debug)
