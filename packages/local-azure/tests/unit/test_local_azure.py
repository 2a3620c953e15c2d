"""All three stand-ins at once: what leads to them, what they tell, and that nothing of them stays."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

import penstock_local_azure
from penstock_local_azure import AddressUnavailable, Deployment, LocalAzure, LocalAzureError, Queue

PORTS = ("service_bus_port", "openai_port", "blob_port", "control_port")


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as running:
        yield running


def ports_of(azure: LocalAzure) -> list[int]:
    """Return the four ports; 0 for one that was never listened on."""
    bus = azure.service_bus.connection_string.split(";")[0].removeprefix("Endpoint=")
    urls = (bus, azure.openai.endpoint, azure.blob.account_url, azure.stats_url)
    return [urlsplit(url).port or 0 for url in urls]


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_it_serves_while_its_block_runs_and_leaves_nothing_behind(session: ClientSession) -> None:
    async with LocalAzure(["in"]) as azure:
        ports = ports_of(azure)
        async with session.get(azure.stats_url) as response:
            assert response.status == 200

    assert len(set(ports)) == 4
    assert not any(map(is_open, ports))


async def test_the_environment_leads_to_all_three() -> None:
    deployments = [Deployment("first", model="gpt-4o"), Deployment("second")]
    async with LocalAzure(["in"], deployments, containers=["files", "logs", "more"]) as azure:
        assert azure.environment() == {
            "AZURE_OPENAI_ENDPOINT": azure.openai.endpoint,
            "AZURE_OPENAI_DEPLOYMENT_NAME": "first",
            "AZURE_OPENAI_MODEL": "gpt-4o",
            "AZURE_OPENAI_API_KEY": azure.openai.api_key,
            "SERVICE_BUS_CONNECTION_STRING": azure.service_bus.connection_string,
            "AZURE_STORAGE_CONNECTION_STRING": azure.blob.connection_string,
            "AZURE_STORAGE_CONTAINER": "files",
            "LOGS_CONTAINER": "logs",
        }
        assert azure.blob.stats()["containers"] == 3


async def test_with_tls_the_environment_leads_to_the_identity_instead_of_keys() -> None:
    async with LocalAzure(["in"], containers=["files"], tls=True) as azure:
        assert azure.environment() == {
            "AZURE_OPENAI_ENDPOINT": azure.openai.endpoint,
            "AZURE_OPENAI_DEPLOYMENT_NAME": "gpt-4o",
            "SERVICE_BUS_NAMESPACE": azure.service_bus.endpoint,
            "AZURE_STORAGE_ACCOUNT": azure.blob.account_url,
            "AZURE_STORAGE_CONTAINER": "files",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "SSL_CERT_FILE": str(azure.ca_file),
            "REQUESTS_CA_BUNDLE": str(azure.ca_file),
            **azure.identity.environment(),
        }
        assert {urlsplit(url).scheme for url in (azure.openai.endpoint, azure.blob.account_url)} == {"https"}
        assert azure.stats()["identity"]["openai"] == {"accepted": 0, "tokens": 0, "refused": {}}
        ca_file, identity = azure.ca_file, urlsplit(azure.identity.environment()["IDENTITY_ENDPOINT"])
        assert ca_file.exists()
        ports = [*ports_of(azure), identity.port or 0]

    assert not ca_file.exists()
    assert len(set(ports)) == 5
    assert not any(map(is_open, ports))


async def test_identity_and_ca_are_there_only_with_tls_and_the_ca_s_file_only_while_it_serves() -> None:
    with pytest.raises(RuntimeError, match="without tls=True"):
        _ = LocalAzure().identity
    with pytest.raises(RuntimeError, match="before `async with`"):
        _ = LocalAzure(tls=True).ca_file


async def test_the_port_of_the_identity_may_be_chosen_and_is_named_when_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        azure = LocalAzure(tls=True, identity_port=port)

        with pytest.raises(AddressUnavailable, match=f"the local identity cannot listen on port {port}"):
            await azure.__aenter__()


async def test_without_containers_none_is_named() -> None:
    async with LocalAzure() as azure:
        assert not {"AZURE_STORAGE_CONTAINER", "LOGS_CONTAINER"} & azure.environment().keys()


async def test_the_accounts_are_told_over_http_as_they_are_in_process(session: ClientSession) -> None:
    async with LocalAzure([Queue("in", duplicate_detection=600.0), "out"], judge="exact") as azure:
        async with session.get(azure.stats_url) as response:
            told = await response.json()

        assert told == json.loads(json.dumps(azure.stats()))
    assert told["v"] == 1
    assert told["service_bus"]["queues"].keys() == {"in", "out"}
    assert told["service_bus"]["queues"]["in"]["suppressed"] == []
    assert told["openai"]["deployments"]["gpt-4o"]["http_429"] == 0
    assert told["blob"]["blobs"] == 0


async def test_ports_may_be_chosen() -> None:
    async with LocalAzure() as first:
        ports = ports_of(first)

    chosen: dict[str, Any] = dict(zip(PORTS, ports, strict=True))
    async with LocalAzure(**chosen) as second:
        assert ports_of(second) == ports


@pytest.mark.parametrize("option", PORTS)
async def test_a_port_in_use_is_named_and_nothing_stays_open(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen: dict[str, Any] = {option: port}
        azure = LocalAzure(**chosen)

        with pytest.raises(AddressUnavailable, match=f"port {port} of 127.0.0.1, which is in use") as unavailable:
            await azure.__aenter__()

    assert (unavailable.value.environment, unavailable.value.permanent) == (True, False)
    assert isinstance(unavailable.value, LocalAzureError)
    assert not any(map(is_open, filter(None, ports_of(azure))))


async def test_the_plugin_s_fixture_gives_stand_ins_ready_for_use(local_azure: LocalAzure) -> None:
    stats = local_azure.stats()

    assert stats["service_bus"]["queues"].keys() == {"in", "out"}
    assert stats["openai"]["deployments"].keys() == {"gpt-4o", "text-embedding-3-small"}
    assert stats["openai"]["deployments"]["gpt-4o"]["judge"].startswith("exact")


def test_the_plugin_costs_other_projects_nothing() -> None:
    program = (
        "import sys, penstock_local_azure.pytest_plugin;"
        "print(sorted({'aiohttp', 'penstock_tokenizers', 'ssl'} & sys.modules.keys()))"
    )

    imported = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)

    assert imported.stdout == "[]\n"


def test_public_names_are_there_and_no_others() -> None:
    for name in penstock_local_azure.__all__:
        assert getattr(penstock_local_azure, name).__name__ == name
    with pytest.raises(AttributeError, match="'penstock_local_azure' has no attribute 'Nothing'"):
        _ = penstock_local_azure.Nothing
