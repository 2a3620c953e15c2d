"""The client behind a handler: what was given is used, what is made here is also closed here."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from azure.servicebus import TransportType
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from penstock_servicebus._errors import ConfigurationError, mapped
from penstock_servicebus._settings import Target, resolve_target, resolve_transport

# The SDK reads the socket in turns of this many seconds; its default of 0.2 makes every call that finds the line busy
# wait that long. It must be given to each receiver: the client does not pass its own on.
_SOCKET_TIMEOUT = 0.02


Credential = Any
"""An async TokenCredential, or one of the SDK's key credentials."""


class _Closeable(Protocol):
    async def close(self) -> None: ...


ClientFactory = Callable[[], tuple[ServiceBusClient, list[_Closeable]]]
"""Makes a client, and tells all that is to be closed after use."""


class Connection:
    """Makes receivers and senders from one client, which lives from `open` to `close`."""

    def __init__(self, client: ServiceBusClient | None, factory: ClientFactory) -> None:
        self._given = client
        self._factory = factory
        self._client = client
        self._made: list[_Closeable] = []

    def open(self) -> None:
        """Have a client; nothing is sent before the first receiver or sender opens."""
        if self._client is None:
            with mapped("make a Service Bus client"):
                self._client, self._made = self._factory()

    def receiver(self, queue: str) -> ServiceBusReceiver:
        """A new receiver; with prefetch off, what arrives unasked goes back at once, uncounted."""
        return self.client.get_queue_receiver(queue, prefetch_count=0, socket_timeout=_SOCKET_TIMEOUT)

    def sender(self, queue: str) -> ServiceBusSender:
        """A new sender."""
        return self.client.get_queue_sender(queue)

    async def close(self) -> None:
        """Close the client and the credential made here."""
        made, self._made, self._client = self._made, [], self._given
        for closeable in made:
            await closeable.close()

    @property
    def client(self) -> ServiceBusClient:
        """The open client.

        Raises:
            RuntimeError: It is not open.
        """
        if self._client is None:
            raise RuntimeError("the connection is not open")
        return self._client


def connect(
    namespace: str | None,
    connection_string: str | None,
    credential: Credential,
    client: ServiceBusClient | None,
    transport: str | None,
    options: Mapping[str, Any],
) -> Connection:
    """Read arguments and environment, and prepare a connection; nothing is opened yet.

    Raises:
        ConfigurationError: They contradict each other or say nothing.
    """
    if client is not None:
        if namespace or connection_string or credential is not None:
            raise ConfigurationError("give client, or fully_qualified_namespace, connection_string and credential")
        return Connection(client, lambda: (client, []))
    target = resolve_target(namespace, connection_string)
    if target.connection_string and credential is not None:
        raise ConfigurationError("give credential with fully_qualified_namespace; a connection string has its own key")
    kinds = {"amqp": TransportType.Amqp, "websockets": TransportType.AmqpOverWebsocket}
    sdk_options = {name: value for name, value in options.items() if value is not None}
    # One retry policy is enough, and it is ours: the SDK's would hold up everything else on the same receiver.
    sdk_options["retry_total"] = 0
    sdk_options["transport_type"] = kinds[resolve_transport(transport)]
    return Connection(None, lambda: _make_client(target, credential, sdk_options))


def _make_client(
    target: Target, credential: Credential, options: Mapping[str, Any]
) -> tuple[ServiceBusClient, list[_Closeable]]:
    """Make the SDK's client; without a credential a namespace is opened with Entra ID."""
    if target.connection_string is not None:
        client = ServiceBusClient.from_connection_string(target.connection_string, **options)
        return client, [client]
    made: list[_Closeable] = []
    if credential is None:
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - slow to import, and only needed here

        credential = DefaultAzureCredential()
        made.append(credential)
    client = ServiceBusClient(str(target.namespace), credential, **options)
    return client, [client, *made]
