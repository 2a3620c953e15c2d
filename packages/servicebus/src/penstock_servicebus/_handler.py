"""The handler: what users construct, run and ask."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from penstock_servicebus._assembly import assemble
from penstock_servicebus._clock import Clock
from penstock_servicebus._connection import Credential, connect
from penstock_servicebus._context import working_on
from penstock_servicebus._custody import Custody
from penstock_servicebus._intake import Intake
from penstock_servicebus._messages import body_of, messages_by_hand
from penstock_servicebus._options import Options
from penstock_servicebus._run import Run
from penstock_servicebus._signals import stop_on_signal
from penstock_servicebus._signature import Processor, ProcessorFunction
from penstock_servicebus._statistics import Counts, HandlerStatistics

_DRAIN = 25.0


class AsyncServiceBusHandler:
    """Takes messages from one queue, runs a processor on them, sends the results to another, and settles.

    A message is completed only after all its results were accepted by the out-queue.

    Args:
        processor_function: `async def process(message)` or `async def process(message, context: MessageContext)`. The
            first annotation says what it takes: `str` (also without one), `bytes`, `dict`, or a class with
            `model_validate_json`. It returns None (nothing is sent), `str`, `bytes`, `dict`, an object with
            `model_dump_json`, a `Result` of one of these, or a list of them.
        in_queue_name: Queue to receive from, or topic.
        out_queue_name: Queue or topic to send results to; give it duplicate detection.
        fully_qualified_namespace: Host name of the namespace, or its URL, which may name a port; default:
            `SERVICE_BUS_NAMESPACE`.
        max_retries: Retries of an attempt that failed, each as a delayed copy; 0 or more. From a subscription or a
            session they are deliveries of the same message, so that its `maxDeliveryCount` must be more than this.
        retry_delay: Seconds before the first retry, doubled with each further one up to 300 s, ± 20 %.
        max_wait_time: Longest receive call on an empty queue, in seconds; a message that arrives ends it at once.
        message_batch_size: With 1, no message is received before there is a free slot for it; with more, so many less
            one are taken ahead, locked and renewed. Work that usually takes less than a second takes as many ahead
            as there are slots in any case. Sessions take none ahead.
        in_subscription: Subscription of the topic to receive from; None: `in_queue_name` is a queue.
        sessions: Whether the queue or subscription requires sessions. Then `max_concurrency` sessions are worked on at
            once, each over a connection of its own, and in each one message at a time and in order.
        connection_string: Instead of a namespace; default: `SERVICE_BUS_CONNECTION_STRING`.
        credential: An async TokenCredential for the namespace; default: `DefaultAzureCredential`. Not closed here.
        client: A ready `ServiceBusClient` instead of all of these. Not closed here.
        max_concurrency: Messages, or sessions, worked on at once.
        receivers: Connections to receive over, which share the slots evenly. One is enough for most work: what is done
            by the same moment is settled in one round trip.
        max_handling_time: Seconds from receipt for which a message's lock is renewed. A message that only waits for its
            environment then goes back uncounted; a processor still at work is cancelled, which counts as an attempt.
        transport: `amqp` or `websockets`; default: `SERVICE_BUS_TRANSPORT`, else `amqp`.
        http_proxy: Passed to the SDK, as the following.
        custom_endpoint_address: Passed to the SDK; default: the namespace's URL if that names a port of its own.
        connection_verify: Passed to the SDK: path of a CA bundle; default: `SSL_CERT_FILE`, else certifi's.
        ssl_context: Passed to the SDK.

    Raises:
        ConfigurationError: Arguments and environment contradict each other, say nothing, or are out of range.
        TypeError: The processor is not an async function, or takes something else than the above.
    """

    def __init__(
        self,
        processor_function: ProcessorFunction,
        in_queue_name: str,
        out_queue_name: str,
        fully_qualified_namespace: str | None = None,
        max_retries: int = 5,
        retry_delay: float = 3.0,
        max_wait_time: float = 3.0,
        message_batch_size: int = 1,
        *,
        in_subscription: str | None = None,
        sessions: bool = False,
        connection_string: str | None = None,
        credential: Credential = None,
        client: ServiceBusClient | None = None,
        max_concurrency: int = 10,
        receivers: int = 1,
        max_handling_time: float = 3600.0,
        transport: str | None = None,
        http_proxy: Mapping[str, Any] | None = None,
        custom_endpoint_address: str | None = None,
        connection_verify: str | None = None,
        ssl_context: SSLContext | None = None,
        _clock: Clock | None = None,
        _random: Callable[[], float] = random.random,
    ) -> None:
        self._options = Options(
            in_queue_name=in_queue_name,
            in_subscription=in_subscription,
            sessions=sessions,
            out_queue_name=out_queue_name,
            max_retries=max_retries,
            retry_delay=retry_delay,
            max_wait_time=max_wait_time,
            message_batch_size=message_batch_size,
            max_concurrency=max_concurrency,
            receivers=receivers,
            max_handling_time=max_handling_time,
            clock=_clock or Clock(),
            random=_random,
        )
        self._processor = Processor(processor_function)
        sdk_options = {
            "http_proxy": http_proxy,
            "custom_endpoint_address": custom_endpoint_address,
            "connection_verify": connection_verify,
            "ssl_context": ssl_context,
        }
        self._connection = connect(
            fully_qualified_namespace,
            connection_string,
            credential,
            client,
            transport,
            sdk_options,
            entities=(in_queue_name, out_queue_name),
        )
        self._counts = Counts()
        self._custody = Custody(self._options.source, self._counts, self._options.clock, _random, max_handling_time)
        self._run = self._new_run(None, None)

    async def run(
        self, drain: float = _DRAIN, until_empty: float | None = None, max_messages: int | None = None
    ) -> HandlerStatistics:
        """Work until SIGTERM or SIGINT, or until a limit is reached; then drain and return.

        The first signal ends the intake; a second one ends the process at once. Where signals cannot be handled
        (Windows, or outside the main thread) `stop` does the same.

        Args:
            drain: Seconds that work under way has to finish after a signal; what is left then is given back.
            until_empty: Return after the queue has been empty, and nothing was held, for so many seconds. Delayed
                copies that become visible later do not count.
            max_messages: Return after so many messages were received and settled.

        Returns:
            The counts at the end.

        Raises:
            ServiceBusUnavailable: A queue cannot be opened at the start.
        """
        run = self._new_run(until_empty, max_messages)
        with stop_on_signal(partial(run.stop, drain)):
            await self._start(run)
            await run.over()
        return self.statistics()

    async def listen(self) -> None:
        """Work until `stop` is called, without touching signals.

        Raises:
            ServiceBusUnavailable: A queue cannot be opened at the start.
        """
        run = self._new_run(None, None)
        await self._start(run)
        await run.over()

    async def stop(self, *, drain: float = _DRAIN) -> None:
        """End the intake and return when everything is settled or given back.

        Messages that only wait for their environment go back at once, those being worked on have `drain` seconds.
        """
        self._run.stop(drain)
        await self._run.over()

    async def __aenter__(self) -> Self:
        await self._start(self._new_run(None, None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def process_message(self, message: ServiceBusReceivedMessage) -> Any:  # noqa: ANN401 - what the processor returns
        """Decode one message and run the processor on it once; nothing is sent or settled.

        Raises:
            UndecodableMessage: The body is not what the processor takes.
        """
        context = self._custody.context_of(message, self._custody.identity_of(message))
        with working_on(context):
            return await self._processor(self._processor.decode(body_of(message)), context)

    async def send_message(self, body: Any, *, message_id: str | None = None) -> None:  # noqa: ANN401 - as a result
        """Send to the out-queue what a processor could return; return when the queue has accepted it.

        Args:
            body: `str`, `bytes`, `dict`, an object with `model_dump_json`, a `Result`, or a list of these.
            message_id: Id of the message, of which duplicate detection keeps one; with a list, `/0`, `/1`, … is
                appended. Default: that of the `Result`, else a new one.

        Raises:
            RuntimeError: The handler is not running.
            UnsendableResult: The body cannot be a message, or is too large.
        """
        if not self.running:
            raise RuntimeError("the handler is not running: send inside `async with handler`, or while it listens")
        await self._run.outboxes.results.send(messages_by_hand(body, message_id))

    @property
    def running(self) -> bool:
        """Whether the handler is at work, or still draining."""
        return self._run.running

    @property
    def total_processed_messages(self) -> int:
        """Messages completed since construction, their results accepted."""
        return self._counts.completed

    @property
    def sleep_seconds(self) -> float:
        """How long the next call on an empty queue lasts: 0.05 s, doubled while it is empty, up to `max_wait_time`."""
        return self._run.pace.seconds

    def statistics(self) -> HandlerStatistics:
        """The counts as they stand, and why the intake is paused, if it is."""
        return self._run.statistics()

    def _new_run(self, until_empty: float | None, max_messages: int | None) -> Run:
        """A run that is not started yet."""
        intake = Intake(self._options.clock.monotonic, until_empty, max_messages)
        return assemble(
            self._processor, self._connection, self._options, custody=self._custody, intake=intake, counts=self._counts
        )

    async def _start(self, run: Run) -> None:
        """Make `run` the current one and open it."""
        if self.running:
            raise RuntimeError("the handler is running already")
        self._run = run
        await run.open()
