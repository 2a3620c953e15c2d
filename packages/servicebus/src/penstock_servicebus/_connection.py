"""The client behind a handler: what was given is used, what is made here is also closed here."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from azure.servicebus import TransportType
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from penstock_servicebus._errors import ConfigurationError, mapped
from penstock_servicebus._settings import Target, resolve_ca_file, resolve_target, resolve_transport

Credential = Any
"""An async TokenCredential, or one of the SDK's key credentials."""


class _Closeable(Protocol):
    async def close(self) -> None: ...


ClientFactory = Callable[[], tuple[ServiceBusClient, list[_Closeable]]]
"""Makes a client, and tells all that is to be closed after use."""


class Connection:
    """One client, which lives from `open` to `close`.

    Args:
        namespace: What is connected to, for people.
        client: The client to use; None: one that the factory makes.
        factory: Makes it.
    """

    def __init__(self, namespace: str, client: ServiceBusClient | None, factory: ClientFactory) -> None:
        self.namespace = namespace
        self._given = client
        self._factory = factory
        self._client = client
        self._made: list[_Closeable] = []

    def open(self) -> None:
        """Have a client; nothing is sent before the first receiver or sender opens."""
        if self._client is None:
            with mapped("make a Service Bus client"):
                self._client, self._made = self._factory()

    def sender(self, entity: str) -> ServiceBusSender:
        """A new sender to a queue, or to a topic: to a sender they are the same."""
        return self.client.get_queue_sender(entity)

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
    environment: Mapping[str, str] | None = None,
    *,
    entities: Collection[str] = (),
) -> Connection:
    """Read arguments and environment (None: the process's), and prepare a connection to `entities`; nothing is opened.

    Raises:
        ConfigurationError: They contradict each other, say nothing, or name a connection string for other entities.
    """
    if client is not None:
        if namespace or connection_string or credential is not None:
            raise ConfigurationError("give client, or fully_qualified_namespace, connection_string and credential")
        return Connection(client.fully_qualified_namespace, client, lambda: (client, []))
    target = resolve_target(namespace, connection_string, environment)
    if target.connection_string and credential is not None:
        raise ConfigurationError("give credential with fully_qualified_namespace; a connection string has its own key")
    if target.entity is not None and any(entity != target.entity for entity in entities):
        raise ConfigurationError(f"the connection string is good for {target.entity} only (EntityPath)")
    kinds = {"amqp": TransportType.Amqp, "websockets": TransportType.AmqpOverWebsocket}
    sdk_options = {
        "custom_endpoint_address": target.endpoint,
        "connection_verify": resolve_ca_file(environment),
        # One retry policy is enough, and it is ours: the SDK's would hold up everything else on the same receiver.
        "retry_total": 0,
        "transport_type": kinds[resolve_transport(transport, environment)],
        **{name: value for name, value in options.items() if value is not None},
    }
    return Connection(target.host, None, lambda: _make_client(target, credential, sdk_options))


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
    client = ServiceBusClient(target.host, credential, **options)
    return client, [client, *made]


_SDK_RETRIES = 3


@asynccontextmanager
async def open_client(environment: Mapping[str, str] | None = None) -> AsyncIterator[ServiceBusClient]:
    """Open the SDK's own client on what a handler would connect to, for all that a handler does not do.

    It retries as the SDK does, and is closed, with its credential, when the block ends.

    Args:
        environment: Where to look for the variables; None: the process's environment.

    Raises:
        ConfigurationError: The variables contradict each other or say nothing.
    """
    connection = connect(None, None, None, None, None, {"retry_total": _SDK_RETRIES}, environment)
    connection.open()
    try:
        yield connection.client
    finally:
        await connection.close()
