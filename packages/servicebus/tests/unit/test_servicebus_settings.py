"""Arguments, environment, and what happens when they contradict each other."""

from typing import Any

import pytest
from azure.servicebus import TransportType

from penstock_servicebus import AsyncServiceBusHandler, ConfigurationError
from penstock_servicebus._settings import Target, resolve_ca_file, resolve_target, resolve_transport

STRING = "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=CANARY"


async def process(message: str) -> str:
    return message


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_BUS_NAMESPACE", "SERVICE_BUS_CONNECTION_STRING", "SERVICE_BUS_TRANSPORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("namespace", "string", "environment", "expected"),
    [
        ("a.example", None, {"SERVICE_BUS_CONNECTION_STRING": STRING}, Target(namespace="a.example")),
        (None, STRING, {"SERVICE_BUS_NAMESPACE": "a"}, Target(connection_string=STRING)),
        (None, None, {"SERVICE_BUS_NAMESPACE": " a.example "}, Target(namespace="a.example")),
        (" ", "", {"SERVICE_BUS_NAMESPACE": " ", "SERVICE_BUS_CONNECTION_STRING": STRING}, Target(None, STRING)),
        ("sb://a.example/", None, {}, Target(namespace="a.example")),
        ("https://a.example:443/", None, {}, Target(namespace="a.example:443")),
    ],
)
def test_an_argument_wins_then_the_environment(
    namespace: str | None, string: str | None, environment: dict[str, str], expected: Target
) -> None:
    assert resolve_target(namespace, string, environment) == expected


@pytest.mark.parametrize(
    ("namespace", "string", "environment", "named"),
    [
        ("a", STRING, {}, ["fully_qualified_namespace", "connection_string"]),
        (
            None,
            None,
            {"SERVICE_BUS_NAMESPACE": "a", "SERVICE_BUS_CONNECTION_STRING": STRING},
            ["SERVICE_BUS_NAMESPACE", "SERVICE_BUS_CONNECTION_STRING"],
        ),
        (
            None,
            None,
            {"SERVICE_BUS_NAMESPACE": " "},
            [
                "SERVICE_BUS_NAMESPACE",
                "SERVICE_BUS_CONNECTION_STRING",
                "fully_qualified_namespace",
                "connection_string",
            ],
        ),
    ],
)
def test_what_is_missing_or_said_twice_is_named(
    namespace: str | None, string: str | None, environment: dict[str, str], named: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_target(namespace, string, environment)

    assert all(name in str(caught.value) for name in named)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("namespace", "endpoint"),
    [
        ("a.example", None),
        ("sb://a.example:5671/", None),
        ("https://a.example:443", None),
        ("sb://127.0.0.1:40001", "sb://127.0.0.1:40001"),
        ("https://a.example:8443/path", "sb://a.example:8443"),
        ("a.example:8443", "sb://a.example:8443"),
    ],
)
def test_a_port_of_its_own_is_kept_for_the_sdk_s_custom_endpoint(namespace: str, endpoint: str | None) -> None:
    assert resolve_target(namespace, None, {}).endpoint == endpoint


def test_a_port_that_is_none_is_refused_by_the_setting_s_name() -> None:
    with pytest.raises(ConfigurationError, match="SERVICE_BUS_NAMESPACE names a port that is none"):
        resolve_target(None, None, {"SERVICE_BUS_NAMESPACE": "sb://a.example:nine"})


@pytest.mark.parametrize(("variable", "file"), [("", None), (" /a/ca.pem ", "/a/ca.pem")])
def test_certificates_are_trusted_as_openssl_s_variable_says(variable: str, file: str | None) -> None:
    assert resolve_ca_file({"SSL_CERT_FILE": variable}) == file


def test_secrets_are_not_shown() -> None:
    assert "CANARY" not in repr(Target(connection_string=STRING))


@pytest.mark.parametrize(
    ("argument", "variable", "expected"),
    [(None, "", "amqp"), (None, "WebSockets", "websockets"), ("amqp", "websockets", "amqp")],
)
def test_the_transport_is_amqp_unless_told(argument: str | None, variable: str, expected: str) -> None:
    assert resolve_transport(argument, {"SERVICE_BUS_TRANSPORT": variable}) == expected


def test_another_transport_is_refused_by_both_names() -> None:
    with pytest.raises(ConfigurationError, match="transport or SERVICE_BUS_TRANSPORT must be amqp or websockets"):
        resolve_transport("carrier pigeon", {})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"in_queue_name": " "}, "in_queue_name"),
        ({"out_queue_name": ""}, "out_queue_name"),
        ({"max_retries": -1}, "max_retries"),
        ({"retry_delay": 0}, "retry_delay"),
        ({"max_wait_time": -1.0}, "max_wait_time"),
        ({"message_batch_size": 0}, "message_batch_size"),
        ({"max_concurrency": 1.5}, "max_concurrency"),
        ({"receivers": 11}, "receivers"),
        ({"receivers": 2, "sessions": True}, "receivers"),
        ({"in_subscription": " "}, "in_subscription"),
        ({"max_handling_time": float("nan")}, "max_handling_time"),
        ({"client": object()}, "client"),
        ({"credential": object()}, "credential"),
        ({"transport": "smoke"}, "transport"),
        ({"connection_string": None}, "SERVICE_BUS_NAMESPACE"),
    ],
)
def test_the_constructor_refuses_what_cannot_work_by_name(arguments: dict[str, Any], named: str) -> None:
    sound = {"in_queue_name": "in", "out_queue_name": "out", "connection_string": STRING}

    with pytest.raises(ConfigurationError, match=named) as caught:
        AsyncServiceBusHandler(process, **sound | arguments)

    assert isinstance(caught.value, ValueError)
    assert "CANARY" not in str(caught.value)


async def test_transport_options_reach_the_sdk() -> None:
    proxy = {"proxy_hostname": "proxy.example", "proxy_port": 3128}
    handler = AsyncServiceBusHandler(
        process,
        "in",
        "out",
        connection_string=STRING,
        transport="websockets",
        http_proxy=proxy,
        custom_endpoint_address="https://gateway.example:8443",
        connection_verify="/etc/ca.pem",
    )
    handler._connection.open()
    used = handler._connection.client._config
    await handler._connection.close()

    assert used.http_proxy == proxy
    assert used.transport_type is TransportType.AmqpOverWebsocket
    assert used.custom_endpoint_address == "https://gateway.example:8443/$servicebus/websocket"
    assert used.connection_verify == "/etc/ca.pem"
    assert used.retry_total == 0, "one retry policy is enough, and it is the handler's"


async def test_the_environment_is_read_at_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_BUS_CONNECTION_STRING", STRING)

    handler = AsyncServiceBusHandler(process, "in", "out")

    assert not handler.running
    assert handler.total_processed_messages == 0
    assert handler.sleep_seconds == 0.05
