"""Over TLS the unmodified SDKs come in by token, and without a good one nobody does."""

import asyncio
import json
import os
import ssl
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx2
import openai
import pytest
from aiohttp import ClientConnectorCertificateError, ClientError, ClientSession
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.identity.aio import DefaultAzureCredential
from azure.servicebus import ServiceBusMessage, TransportType
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError
from azure.storage.blob import generate_container_sas
from azure.storage.blob.aio import BlobServiceClient
from openai import AsyncOpenAI

from penstock_local_azure import LocalAzure, Queue
from penstock_local_azure._identity import Identity

RESOURCES = {
    "blob": "https://storage.azure.com",
    "openai": "https://cognitiveservices.azure.com",
    "service_bus": "https://servicebus.azure.net",
}
TRANSPORTS = [TransportType.Amqp, TransportType.AmqpOverWebsocket]
ENTRA_VARIABLES = ("IDENTITY_SERVER_THUMBPRINT", "AZURE_CLIENT_ID")


class Shows:
    """A credential that shows the token it is given, and says of it whatever the test wants."""

    def __init__(self, token: str, says_it_lives: float = 3600.0) -> None:
        self._token = token
        self._lives = says_it_lives

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time() + self._lives))

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


@pytest.fixture
async def azure(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalAzure]:
    async with LocalAzure([Queue("in")], containers=["files"], judge="exact", seed=1, latency=0.0, tls=True) as running:
        for name, value in running.identity.environment().items():
            monkeypatch.setenv(name, value)
        for name in ENTRA_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        yield running


@pytest.fixture
async def credential(azure: LocalAzure) -> AsyncIterator[DefaultAzureCredential]:  # noqa: ARG001  # its environment
    async with DefaultAzureCredential() as found:
        yield found


def bus_of(azure: LocalAzure, credential: Any, **options: Any) -> ServiceBusClient:
    given = {
        "custom_endpoint_address": azure.service_bus.endpoint,
        "connection_verify": str(azure.ca_file),
        "transport_type": TransportType.Amqp,  # with an endpoint of its own the SDK would prefer websockets
    }
    return ServiceBusClient("127.0.0.1", credential, **{**given, **options})


def blobs_of(azure: LocalAzure, credential: Any, **options: Any) -> BlobServiceClient:
    given = {"connection_verify": str(azure.ca_file), "retry_total": 0}
    return BlobServiceClient(azure.blob.account_url, credential=credential, **{**given, **options})


def signature_of(azure: LocalAzure) -> str:
    """A signature that permits writing into `files`, over TLS only."""
    expiry, key = datetime.now(UTC) + timedelta(hours=1), azure.blob.account_key
    return generate_container_sas("penstocklocal", "files", key, permission="w", expiry=expiry, protocol="https")


def model_of(azure: LocalAzure, token: str) -> AsyncOpenAI:
    trust = httpx2.AsyncClient(verify=ssl.create_default_context(cafile=azure.ca_file))
    url = f"{azure.openai.endpoint}/openai/v1/"
    return AsyncOpenAI(base_url=url, api_key=token, max_retries=0, http_client=trust)


def websockets_of(azure: LocalAzure) -> int:
    """Return how many websockets were opened."""
    server = azure.service_bus._websockets
    assert server is not None
    return server.requests_count


async def there_and_back(client: ServiceBusClient, text: str) -> str:
    async with client, client.get_queue_sender("in") as sender, client.get_queue_receiver("in") as receiver:
        await sender.send_messages(ServiceBusMessage(text))
        (message,) = await receiver.receive_messages(max_message_count=1, max_wait_time=10)
        await receiver.complete_message(message)
        return str(message)


async def try_to_send(client: ServiceBusClient) -> None:
    async with client, client.get_queue_sender("in") as sender:
        await sender.send_messages(ServiceBusMessage("never arrives"))


async def ask(model: AsyncOpenAI) -> str:
    async with model:
        answer = await model.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello"}], max_completion_tokens=50
        )
    return str(answer.choices[0].message.content)


class TestGoodTokens:
    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_service_bus_takes_them_over_amqp_and_over_websockets(
        self, azure: LocalAzure, credential: DefaultAzureCredential, transport: TransportType
    ) -> None:
        text = "x" * 200_000  # several frames

        assert await there_and_back(bus_of(azure, credential, transport_type=transport), text) == text
        assert azure.service_bus.stats()["in"]["completed"] == 1
        assert websockets_of(azure) == (2 if transport is TransportType.AmqpOverWebsocket else 0)

    async def test_blob_storage_takes_them(self, azure: LocalAzure, credential: DefaultAzureCredential) -> None:
        async with blobs_of(azure, credential) as blobs:
            blob = blobs.get_blob_client("files", "a")
            await blob.upload_blob(b"content")

            assert await (await blob.download_blob()).readall() == b"content"

    @pytest.mark.parametrize("resource", ["https://cognitiveservices.azure.com", "https://ai.azure.com/"])
    async def test_azure_openai_takes_them_for_either_audience(self, azure: LocalAzure, resource: str) -> None:
        assert await ask(model_of(azure, azure.identity.token(resource)))

    async def test_the_environment_alone_leads_every_client_there(self, azure: LocalAzure) -> None:
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            Path(__file__).with_name("clients_by_environment.py"),
            env={**os.environ, **azure.environment()},
            stdout=PIPE,
            stderr=PIPE,
        )

        said, complaints = await program.communicate()

        assert complaints == b""
        assert json.loads(said) == ["aio blob", "blob", "openai"]


class TestBadTokens:
    @pytest.fixture(params=["expired", "of another audience", "of another issuer", "no token at all"])
    def make(self, request: pytest.FixtureRequest, azure: LocalAzure) -> tuple[str, Callable[[str], str]]:
        """Return how the service's account calls it, and what makes a bad token for a resource."""
        makers: dict[str, tuple[str, Callable[[str], str]]] = {
            "expired": ("expired", lambda resource: azure.identity.token(resource, -1)),
            "of another audience": ("audience", lambda _: azure.identity.token("https://vault.azure.net")),
            "of another issuer": ("invalid", Identity().token),
            "no token at all": ("invalid", lambda _: "canary"),
        }
        return makers[request.param]

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_service_bus_refuses_them(
        self, azure: LocalAzure, make: tuple[str, Callable[[str], str]], transport: TransportType
    ) -> None:
        reason, bad = make
        client = bus_of(azure, Shows(bad(RESOURCES["service_bus"])), transport_type=transport, retry_total=0)

        with pytest.raises(ServiceBusError, match="amqp:client-error"):
            await try_to_send(client)

        assert azure.identity.stats()["service_bus"]["refused"] == {reason: 1}

    async def test_blob_storage_refuses_them_with_a_challenge(
        self, azure: LocalAzure, make: tuple[str, Callable[[str], str]]
    ) -> None:
        reason, bad = make
        async with blobs_of(azure, Shows(bad(RESOURCES["blob"]))) as blobs:
            with pytest.raises(HttpResponseError) as caught:
                await blobs.get_blob_client("files", "a").upload_blob(b"content")

        headers = getattr(caught.value.response, "headers", {})  # which azure-core's type does not mention
        assert (caught.value.status_code, headers["x-ms-error-code"]) == (401, "InvalidAuthenticationInfo")
        assert headers["WWW-Authenticate"].startswith("Bearer authorization_uri=https://login.microsoftonline.com/")
        assert headers["WWW-Authenticate"].endswith(" resource_id=https://storage.azure.com")
        assert azure.identity.stats()["blob"]["refused"] == {reason: 2}  # the challenge makes the SDK try again

    async def test_azure_openai_refuses_them_in_the_gateway_s_words(
        self, azure: LocalAzure, make: tuple[str, Callable[[str], str]]
    ) -> None:
        reason, bad = make
        with pytest.raises(openai.AuthenticationError) as caught:
            await ask(model_of(azure, bad(RESOURCES["openai"])))

        assert caught.value.body == {
            "statusCode": 401,
            "message": "Unauthorized. Access token is missing, invalid, audience is incorrect "
            "(https://cognitiveservices.azure.com), or have expired.",
        }
        assert azure.identity.stats()["openai"]["refused"] == {reason: 1}
        assert azure.openai.stats()["gpt-4o"]["requests"] == 0

    async def test_without_a_token_http_is_401(self, azure: LocalAzure) -> None:
        trust = ssl.create_default_context(cafile=azure.ca_file)
        async with ClientSession() as session:
            chat = f"{azure.openai.endpoint}/openai/v1/chat/completions"
            async with session.post(chat, json={}, ssl=trust) as answer:
                assert (answer.status, (await answer.json())["statusCode"]) == (401, 401)
            async with session.get(f"{azure.blob.account_url}/files/a", ssl=trust) as answer:
                assert (answer.status, answer.headers["x-ms-error-code"]) == (401, "NoAuthenticationInformation")
                assert "resource_id=https://storage.azure.com" in answer.headers["WWW-Authenticate"]


class TestTokensThatEnd:
    async def test_service_bus_detaches_links_whose_token_has_expired(self, azure: LocalAzure) -> None:
        short = Shows(azure.identity.token(RESOURCES["service_bus"], 1.5))  # which its owner believes to live on
        async with bus_of(azure, short, retry_total=0) as client, client.get_queue_receiver("in") as receiver:
            with pytest.raises(ServiceBusError, match=r"is force detached\. Code: RenewToken"):
                await receiver.receive_messages(max_message_count=1, max_wait_time=20)

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_the_sdk_comes_back_with_a_new_token(
        self, monkeypatch: pytest.MonkeyPatch, transport: TransportType
    ) -> None:
        async with LocalAzure([Queue("in")], tls=True, token_lifetime=2.0) as azure:
            for name, value in azure.identity.environment().items():
                monkeypatch.setenv(name, value)
            async with (
                DefaultAzureCredential() as credential,
                bus_of(azure, credential, transport_type=transport) as client,
                client.get_queue_sender("in") as sender,
            ):
                await sender.send_messages(ServiceBusMessage("with the first"))
                await asyncio.sleep(2.1)  # its life; no event tells that a token has expired
                await sender.send_messages(ServiceBusMessage("with the second"))

            assert azure.service_bus.stats()["in"]["active"] == 2
            assert azure.identity.stats()["service_bus"]["tokens"] == 2

    async def test_a_refused_token_is_refused_once_at_each_service_that_was_told_to(
        self, azure: LocalAzure, credential: DefaultAzureCredential
    ) -> None:
        azure.identity.refuse_next("service_bus")
        azure.identity.refuse_next("blob")
        azure.identity.refuse_next("openai")

        assert await there_and_back(bus_of(azure, credential, retry_backoff_factor=0.1), "at last") == "at last"
        async with blobs_of(azure, credential) as blobs:
            await blobs.get_blob_client("files", "a").upload_blob(b"at once")
        token = azure.identity.token(RESOURCES["openai"])
        with pytest.raises(openai.AuthenticationError):
            await ask(model_of(azure, token))
        assert await ask(model_of(azure, token))

        stats = azure.stats()["identity"]
        assert [stats[service]["refused"] for service in RESOURCES] == [{"told to": 1}] * 3


class TestKeys:
    async def test_they_open_nothing(self, azure: LocalAzure) -> None:
        bus = ServiceBusClient.from_connection_string(
            azure.service_bus.connection_string,
            custom_endpoint_address=azure.service_bus.endpoint,
            connection_verify=str(azure.ca_file),
            retry_total=0,
        )
        with pytest.raises(ServiceBusError, match="amqp:client-error"):
            await try_to_send(bus)
        async with blobs_of(azure, azure.blob.account_key) as blobs:
            with pytest.raises(HttpResponseError) as caught:
                await blobs.get_container_client("files").get_container_properties()
            assert (caught.value.status_code, caught.value.error_code) == (403, "KeyBasedAuthenticationNotPermitted")  # type: ignore[attr-defined]
        async with blobs_of(azure, signature_of(azure)) as blobs:
            with pytest.raises(HttpResponseError, match="KeyBasedAuthenticationNotPermitted"):
                await blobs.get_blob_client("files", "a").upload_blob(b"content")
        trust = ssl.create_default_context(cafile=azure.ca_file)
        async with ClientSession(headers={"api-key": azure.openai.api_key}) as session:
            chat = f"{azure.openai.endpoint}/openai/v1/chat/completions"
            async with session.post(chat, json={}, ssl=trust) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (403, "AuthenticationTypeDisabled")

    async def test_they_do_if_asked_for(self) -> None:
        async with LocalAzure([Queue("in")], containers=["files"], latency=0.0, tls=True, accept_keys=True) as azure:
            bus = ServiceBusClient.from_connection_string(
                azure.service_bus.connection_string,
                custom_endpoint_address=azure.service_bus.endpoint,
                connection_verify=str(azure.ca_file),
            )
            assert await there_and_back(bus, "by key") == "by key"
            async with blobs_of(azure, azure.blob.account_key) as blobs:
                await blobs.get_blob_client("files", "a").upload_blob(b"by key")
            async with blobs_of(azure, signature_of(azure)) as blobs:
                await blobs.get_blob_client("files", "b").upload_blob(b"by signature")
            assert await ask(model_of(azure, azure.openai.api_key))
            with pytest.raises(openai.AuthenticationError):
                await ask(model_of(azure, "another key"))


class TestTls:
    async def test_a_client_that_does_not_know_the_ca_refuses_all_three(
        self, azure: LocalAzure, credential: DefaultAzureCredential
    ) -> None:
        with pytest.raises(ServiceBusError, match="CERTIFICATE_VERIFY_FAILED"):
            await try_to_send(bus_of(azure, credential, connection_verify=None, retry_total=0))
        async with blobs_of(azure, credential, connection_verify=True) as blobs:
            with pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"):
                await blobs.get_blob_client("files", "a").upload_blob(b"content")
        async with ClientSession() as session:
            with pytest.raises(ClientConnectorCertificateError):
                await session.get(azure.openai.endpoint)
            with pytest.raises(ClientConnectorCertificateError):
                await session.ws_connect(f"{azure.service_bus.endpoint.replace('sb', 'wss')}/$servicebus/websocket")

    async def test_plain_text_gets_no_answer(self, azure: LocalAzure) -> None:
        for hello in (b"AMQP\x03\x01\x00\x00", b"GET /$servicebus/websocket HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", azure.service_bus.port)
            writer.write(hello)
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            assert not answer.startswith((b"AMQP", b"HTTP"))
        async with ClientSession() as session:
            for url in (azure.openai.endpoint, azure.blob.account_url):
                with pytest.raises(ClientError):
                    await session.get(url.replace("https", "http"))

    async def test_only_amqp_s_websockets_are_answered(self, azure: LocalAzure) -> None:
        trust = ssl.create_default_context(cafile=azure.ca_file)
        url = azure.service_bus.endpoint.replace("sb", "https")
        async with ClientSession() as session:
            async with session.get(f"{url}/in/messages", ssl=trust) as answer:
                assert answer.status == 404
            async with session.get(f"{url}/$servicebus/websocket/", ssl=trust) as answer:
                assert (answer.status, "AMQPWSB10" in await answer.text()) == (400, True)
            async with session.ws_connect(
                f"{url}/$servicebus/websocket/", ssl=trust, protocols=["AMQPWSB10"]
            ) as socket:
                await socket.send_bytes(b"AMQP\x03\x01\x00\x00")
                assert (await socket.receive_bytes()).startswith(b"AMQP\x03\x01\x00\x00")

    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
    async def test_the_certificates_are_good_for_loopback_s_names(self, azure: LocalAzure, name: str) -> None:
        trust = ssl.create_default_context(cafile=azure.ca_file)
        async with ClientSession() as session:
            url = azure.openai.endpoint.replace("127.0.0.1", name)
            async with session.get(f"{url}/openai/v1/models", ssl=trust) as answer:
                assert answer.status == 401
