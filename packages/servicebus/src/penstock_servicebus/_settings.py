"""What to connect to: arguments first, then the environment, and a clear word when they contradict or say nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock_servicebus._errors import ConfigurationError

NAMESPACE = "SERVICE_BUS_NAMESPACE"
CONNECTION_STRING = "SERVICE_BUS_CONNECTION_STRING"
TRANSPORT = "SERVICE_BUS_TRANSPORT"


@dataclass(frozen=True, slots=True)
class Target:
    """Where Service Bus is: a host name or a connection string, never both."""

    namespace: str | None = None
    connection_string: str | None = field(default=None, repr=False)


def resolve_target(
    namespace: str | None,
    connection_string: str | None,
    environment: Mapping[str, str] | None = None,
) -> Target:
    """Decide where to connect; an argument overrides both variables.

    Raises:
        ConfigurationError: Both arguments or both variables are given, or nothing is.
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


def _one_of(namespace: str | None, its_name: str, connection_string: str | None, other_name: str) -> Target | None:
    """The one that is given; None if none is."""
    if namespace and connection_string:
        raise ConfigurationError(f"give {its_name} or {other_name}, not both")
    if namespace:
        return Target(namespace=_host(namespace))
    return Target(connection_string=connection_string) if connection_string else None


def _host(namespace: str) -> str:
    """The host name in a name or a full URL."""
    return namespace.partition("://")[2].partition("/")[0] if "://" in namespace else namespace.rstrip("/")


def _filled(value: str | None) -> str | None:
    """None for what is unset, empty or blank."""
    return value.strip() or None if value is not None else None
