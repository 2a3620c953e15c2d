"""What to connect to: arguments first, then the environment, and a clear word when they contradict or say nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from azure.servicebus import parse_connection_string

from penstock_servicebus._errors import ConfigurationError

NAMESPACE = "SERVICE_BUS_NAMESPACE"
CONNECTION_STRING = "SERVICE_BUS_CONNECTION_STRING"
TRANSPORT = "SERVICE_BUS_TRANSPORT"
CA_FILE = "SSL_CERT_FILE"

_SERVICE_PORTS = (5671, 443)  # AMQP and websockets: the SDK's own choice


@dataclass(frozen=True, slots=True)
class Target:
    """Where Service Bus is: a host name or a connection string, never both."""

    namespace: str | None = None
    connection_string: str | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str | None:
        """The namespace as a URL, if it is at another port than the service's: from a host name the SDK drops it."""
        url = f"sb://{self.namespace or ''}"
        return None if urlsplit(url).port in (None, *_SERVICE_PORTS) else url

    @property
    def host(self) -> str:
        """The namespace's host name, with its port if that was given."""
        if self.connection_string is not None:
            return parse_connection_string(self.connection_string).fully_qualified_namespace
        return str(self.namespace)

    @property
    def entity(self) -> str | None:
        """The one entity that a connection string is good for, if it says so."""
        return None if self.connection_string is None else parse_connection_string(self.connection_string).entity_path


def resolve_target(
    namespace: str | None,
    connection_string: str | None,
    environment: Mapping[str, str] | None = None,
) -> Target:
    """Decide where to connect; an argument overrides both variables.

    Raises:
        ConfigurationError: Both arguments or both variables are given, or nothing is, or it is no connection string.
    """
    environment = os.environ if environment is None else environment
    argument = _one_of(_filled(namespace), "fully_qualified_namespace", _filled(connection_string), "connection_string")
    if argument is not None:
        return argument
    variable = _one_of(
        _filled(environment.get(NAMESPACE)), NAMESPACE, _filled(environment.get(CONNECTION_STRING)), CONNECTION_STRING
    )
    if variable is not None:
        return variable
    raise ConfigurationError(
        f"no Service Bus given: set {NAMESPACE} or {CONNECTION_STRING}, "
        "or pass fully_qualified_namespace or connection_string",
    )


def resolve_transport(transport: str | None, environment: Mapping[str, str] | None = None) -> str:
    """`amqp` or `websockets`; `amqp` if nobody says.

    Raises:
        ConfigurationError: It is neither.
    """
    environment = os.environ if environment is None else environment
    chosen = (_filled(transport) or _filled(environment.get(TRANSPORT)) or "amqp").lower()
    if chosen not in ("amqp", "websockets"):
        raise ConfigurationError(f"transport or {TRANSPORT} must be amqp or websockets")
    return chosen


def resolve_ca_file(environment: Mapping[str, str] | None = None) -> str | None:
    """The file of trusted certificates that OpenSSL's own variable names; None: the SDK's."""
    environment = os.environ if environment is None else environment
    return _filled(environment.get(CA_FILE))


def _one_of(namespace: str | None, its_name: str, connection_string: str | None, other_name: str) -> Target | None:
    """The one that is given; None if none is."""
    if namespace and connection_string:
        raise ConfigurationError(f"give {its_name} or {other_name}, not both")
    if namespace:
        return Target(namespace=_host(namespace, its_name))
    return Target(connection_string=_checked(connection_string, other_name)) if connection_string else None


def _checked(connection_string: str, its_name: str) -> str:
    """A connection string that can be read."""
    try:
        parse_connection_string(connection_string)
    except ValueError:
        pass
    else:
        return connection_string
    # Raised here, outside the handler: the error above may quote the key.
    raise ConfigurationError(f"{its_name} is not a Service Bus connection string: it needs Endpoint and a key")


def _host(namespace: str, its_name: str) -> str:
    """The host name in a name or a full URL, with the port if one is given."""
    host = namespace.partition("://")[2] if "://" in namespace else namespace
    host = host.partition("/")[0]
    try:
        urlsplit(f"sb://{host}").port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ConfigurationError(f"{its_name} names a port that is none") from None
    return host


def _filled(value: str | None) -> str | None:
    """None for what is unset, empty or blank."""
    return value.strip() or None if value is not None else None
