"""Where uploads go: arguments, then the environment; every mistake is named with argument and variable."""

from collections.abc import Mapping

import pytest
from azure.storage.blob.aio import BlobServiceClient

from penstock_blob_uploader import AsyncBlobStorageUploader
from penstock_blob_uploader._settings import Target, resolve_target

CONNECTION_STRING = "AccountName=acc;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"
ACCOUNT_VARIABLES = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_CONTAINER")


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ACCOUNT_VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def resolve(
    environment: Mapping[str, str] | None = None,
    *,
    account_url: str | None = None,
    connection_string: str | None = None,
    container_name: str | None = "box",
) -> Target:
    return resolve_target(
        account_url=account_url,
        connection_string=connection_string,
        container_name=container_name,
        has_client=False,
        environment=environment or {},
    )


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("mystore", "https://mystore.blob.core.windows.net"),
        ("https://mystore.blob.core.chinacloudapi.cn", "https://mystore.blob.core.chinacloudapi.cn"),
        ("http://127.0.0.1:10000/dev?sig=x", "http://127.0.0.1:10000/dev?sig=x"),
    ],
)
def test_an_account_is_given_by_name_or_url(given: str, url: str) -> None:
    assert resolve(account_url=given).account_url == url
    assert resolve({"AZURE_STORAGE_ACCOUNT": f" {given} "}).account_url == url


def test_the_environment_fills_what_no_argument_says() -> None:
    target = resolve(
        {"AZURE_STORAGE_CONNECTION_STRING": CONNECTION_STRING, "AZURE_STORAGE_CONTAINER": "logs"}, container_name=" "
    )

    assert (target.connection_string, target.account_url, target.container) == (CONNECTION_STRING, None, "logs")


def test_an_argument_for_the_name_overrides_a_connection_string_in_the_environment() -> None:
    target = resolve({"AZURE_STORAGE_CONNECTION_STRING": CONNECTION_STRING}, account_url="mystore")

    assert (target.connection_string, target.account_url) == (None, "https://mystore.blob.core.windows.net")


def test_a_blank_variable_is_an_unset_one() -> None:
    target = resolve({"AZURE_STORAGE_CONNECTION_STRING": "  ", "AZURE_STORAGE_ACCOUNT": "mystore"})

    assert target.connection_string is None


def test_saying_both_is_refused_in_arguments_and_in_variables() -> None:
    with pytest.raises(ValueError, match=r"account_url and connection_string"):
        resolve(account_url="mystore", connection_string=CONNECTION_STRING)
    with pytest.raises(ValueError, match=r"AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_CONNECTION_STRING"):
        resolve({"AZURE_STORAGE_ACCOUNT": "mystore", "AZURE_STORAGE_CONNECTION_STRING": CONNECTION_STRING})


def test_what_is_missing_is_named_as_argument_and_variable() -> None:
    with pytest.raises(
        ValueError, match=r"account_url= or connection_string=.*AZURE_STORAGE_ACCOUNT.*CONNECTION_STRING"
    ):
        resolve()
    with pytest.raises(ValueError, match=r"container_name= or set AZURE_STORAGE_CONTAINER"):
        resolve(account_url="mystore", container_name=None)


@pytest.mark.parametrize(
    "account", ["My Store", "ftp://mystore", "https://", "http://host:port", "x" * 25, "http://[::1"]
)
def test_an_account_that_is_neither_name_nor_url_is_refused_without_being_quoted(account: str) -> None:
    with pytest.raises(ValueError, match=r"account_url \(AZURE_STORAGE_ACCOUNT\)") as refusal:
        resolve(account_url=account)

    assert account not in str(refusal.value)


@pytest.mark.parametrize("container", ["Box", "ab", "a--b", "-ab", "ab-", "a_b", "x" * 64])
def test_a_container_name_azure_would_refuse_is_refused(container: str) -> None:
    with pytest.raises(ValueError, match=r"container_name, AZURE_STORAGE_CONTAINER"):
        resolve(account_url="mystore", container_name=container)


@pytest.mark.parametrize("container", ["box", "a-b-c", "123", "$root", "x" * 63])
def test_a_container_name_azure_takes_is_taken(container: str) -> None:
    assert resolve(account_url="mystore", container_name=container).container == container


def test_no_representation_shows_a_secret() -> None:
    assert "c2VjcmV0" not in repr(resolve(connection_string=CONNECTION_STRING))
    assert "sig=x" not in repr(resolve(account_url="http://127.0.0.1/dev?sig=x"))


def test_an_uploader_reads_the_environment_when_constructed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="No container"):
        AsyncBlobStorageUploader()
    monkeypatch.setenv("AZURE_STORAGE_CONTAINER", "box")
    with pytest.raises(ValueError, match="No storage account"):
        AsyncBlobStorageUploader()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "mystore")

    AsyncBlobStorageUploader()


def test_a_ready_client_signs_in_by_itself() -> None:
    client = BlobServiceClient("https://mystore.blob.core.windows.net", "a2V5")

    with pytest.raises(ValueError, match="client and credential"):
        AsyncBlobStorageUploader(None, "box", client=client, credential="a2V5")
    with pytest.raises(ValueError, match="client and account_url"):
        AsyncBlobStorageUploader("mystore", "box", client=client)


def test_a_token_is_never_to_travel_over_plain_http() -> None:
    with pytest.raises(ValueError, match="plain http"):
        AsyncBlobStorageUploader("http://127.0.0.1:10000/dev", "box")

    AsyncBlobStorageUploader("http://127.0.0.1:10000/dev", "box", credential="a2V5")


async def test_a_malformed_connection_string_is_refused_without_being_quoted() -> None:
    uploader = AsyncBlobStorageUploader(None, "box", connection_string="AccountKey=c2VjcmV0")

    with pytest.raises(ValueError, match=r"connection_string \(AZURE_STORAGE_CONNECTION_STRING\)") as refusal:
        await uploader.initialize()

    assert "c2VjcmV0" not in str(refusal.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_retries", -1), ("retry_delay", 0.0), ("max_concurrency", 0), ("max_bytes_in_flight", 4 * 1024**2 - 1)],
)
def test_an_option_outside_its_range_is_named(option: str, value: float) -> None:
    options: dict[str, float] = {option: value}

    with pytest.raises(ValueError, match=option):
        AsyncBlobStorageUploader("mystore", "box", **options)  # type: ignore[arg-type]  # the test's point is the value
