"""Each way a setup can be broken: said at once with its remedy, waited for without using up attempts, then resumed.

The failures are real: names no DNS knows, certificates nobody signed, signatures and tokens that have expired.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity import CredentialUnavailableError
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry

from penstock_blob_uploader import (
    AccessDeniedError,
    AccountUnreachableError,
    AsyncBlobStorageUploader,
    Conflict,
    ContainerMissingError,
    Created,
    SetupError,
)
from penstock_local_azure import Blob, LocalAzure

MIB = 1024**2
WITHOUT_SDK_RETRIES = {"retry_policy": ExponentialRetry(retry_total=0)}


def uploader_to(account_url: str, credential: Any, container: str = "box", **options: Any) -> AsyncBlobStorageUploader:
    """An uploader that has no attempt to spare."""
    client_options = {**WITHOUT_SDK_RETRIES, **options.pop("client_options", {})}
    settings: dict[str, Any] = {"max_retries": 0, "retry_delay": 0.05, **options}
    return AsyncBlobStorageUploader(
        account_url, container, credential=credential, client_options=client_options, **settings
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "f").write_bytes(b"content")
    return tmp_path / "f"


async def check_it_waits_and_resumes(
    uploader: AsyncBlobStorageUploader,
    path: Path,
    error: type[SetupError],
    hint: str,
    mend: Callable[[], Awaitable[None]],
) -> None:
    """The error names cause and remedy; the queue pauses with it, and goes on by itself once the setup is mended."""
    began = time.monotonic()
    with pytest.raises(error, match=hint) as failure:
        await uploader.put(path, "direct")
    assert time.monotonic() - began < 60, "told at once"
    assert failure.value.environment
    assert not failure.value.permanent

    handle = await uploader.upload_file(path)
    async with asyncio.timeout(60):
        while uploader.statistics().paused is None:
            await asyncio.sleep(0.001)
    assert not handle.done()
    await mend()
    async with asyncio.timeout(120):
        assert isinstance(await handle, Created)

    statistics = uploader.statistics()
    assert (statistics.created, statistics.failed, statistics.retries, statistics.paused) == (1, 0, 0, None)


def sas(blob: Blob, permissions: str, *, lives: float = 3600, container: str = "box") -> str:
    return generate_container_sas(
        "penstocklocal",
        container,
        account_key=blob.account_key,
        permission=ContainerSasPermissions.from_string(permissions),
        expiry=datetime.now(UTC) + timedelta(seconds=lives),
    )


@pytest.fixture
async def late() -> AsyncIterator[Callable[..., Awaitable[Blob]]]:
    """Starts stand-ins late, in the place of others."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Blob:
            return await stack.enter_async_context(Blob(containers=["box"], **options))

        yield start


async def test_an_account_that_does_not_exist(blob: Blob, path: Path, late: Callable[..., Awaitable[Blob]]) -> None:
    url = blob.account_url.replace("penstocklocal", "latecomer")
    named_key = AzureNamedKeyCredential("latecomer", blob.account_key)

    async def mend() -> None:
        await blob.__aexit__(None, None, None)
        await late(port=int(url.split(":")[2].split("/")[0]), account="latecomer", account_key=blob.account_key)

    async with uploader_to(url, named_key) as uploader:
        await check_it_waits_and_resumes(uploader, path, AccountUnreachableError, "no such account", mend)


class Resolver(ThreadedResolver):
    """Asks the system's DNS, until the name is entered here."""

    entered = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await super().resolve("127.0.0.1" if self.entered else host, port, family)


async def test_a_host_that_dns_does_not_know(blob: Blob, path: Path) -> None:
    resolver = Resolver()
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver), auto_decompress=False)
    url = blob.account_url.replace("127.0.0.1", "penstock-no-such-account.invalid")

    async def mend() -> None:
        resolver.entered = True

    options = {"transport": AioHttpTransport(session=session, session_owner=False)}
    async with session, uploader_to(url, AzureSasCredential(sas(blob, "cw")), client_options=options) as uploader:
        await check_it_waits_and_resumes(uploader, path, AccountUnreachableError, "DNS .* no such account", mend)


async def test_a_certificate_that_nobody_trusts(path: Path, late: Callable[..., Awaitable[Blob]]) -> None:
    async with LocalAzure(["q"], tls=True, containers=["box"]) as trusted:
        trust, key = trusted._trust, trusted.blob.account_key
        assert trust is not None
        async with LocalAzure(["q"], tls=True, containers=["box"], accept_keys=True) as impostor:
            url = impostor.blob.account_url
            port = int(url.split(":")[2].split("/")[0])

            async def mend() -> None:
                await impostor.blob.__aexit__(None, None, None)
                await late(port=port, account_key=key, protection=trust.protect("blob"))

            options = {"connection_verify": str(trusted.ca_file)}
            token = Shows(trusted.identity.token("https://storage.azure.com"))
            async with uploader_to(url, token, client_options=options) as uploader:
                await check_it_waits_and_resumes(
                    uploader, path, AccountUnreachableError, "TLS failed .*certificate.*connection_verify", mend
                )


async def test_an_expired_signature_that_is_renewed(blob: Blob, path: Path) -> None:
    credential = AzureSasCredential(sas(blob, "cw", lives=-60))

    async def mend() -> None:
        credential.update(sas(blob, "cw"))

    async with uploader_to(blob.account_url, credential) as uploader:
        await check_it_waits_and_resumes(uploader, path, AccessDeniedError, "expired.*renew it", mend)


@pytest.mark.parametrize("by", ["account_url", "connection_string"])
async def test_a_key_that_is_rotated_and_told(blob: Blob, path: Path, by: str) -> None:
    credential = AzureNamedKeyCredential("penstocklocal", blob.account_key)
    address = {"account_url": None, by: getattr(blob, by)}

    async def mend() -> None:
        credential.update("penstocklocal", blob.account_key)

    async with uploader_to(credential=credential, **address) as uploader:
        assert isinstance(await uploader.put(path, "before"), Created)
        blob.regenerate_key()
        await check_it_waits_and_resumes(uploader, path, AccessDeniedError, r"wrong or expired.*renew it", mend)
        assert await uploader.may_read()


async def test_a_key_that_is_rotated_and_was_given_as_text(blob: Blob, path: Path, tmp_path: Path) -> None:
    """A text is read once, so another uploader has to go on; with a journal it does."""
    async with uploader_to(blob.account_url, blob.account_key, journal=tmp_path / "journal") as uploader:
        blob.regenerate_key()
        with pytest.raises(AccessDeniedError, match=r"wrong or expired.*renew it"):
            await uploader.put(path, "direct")
        await uploader.upload_file(path)
        await uploader.shutdown(drain=0)

    async with uploader_to(blob.account_url, blob.account_key, journal=tmp_path / "journal") as uploader:
        await uploader.shutdown(drain=None)

    assert (uploader.statistics().resumed, uploader.statistics().created) == (1, 1)


class Shows:
    """A credential that shows the token it holds, or says that there is none."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        if self.token is None:
            raise CredentialUnavailableError("no managed identity")
        return AccessToken(self.token, int(time.time()))  # never kept: asked for again at every request

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("kind", ["expired", "none", "other audience"])
async def test_a_token_that_opens_nothing_until_there_is_a_good_one(path: Path, kind: str) -> None:
    async with LocalAzure(["q"], tls=True, containers=["box"]) as azure:
        storage = "https://storage.azure.com"
        credential, hint = {
            "expired": (Shows(azure.identity.token(storage, -60)), "check the credential"),
            "none": (Shows(None), "az login"),
            "other audience": (Shows(azure.identity.token("https://example.com")), "tenant, audience or service"),
        }[kind]

        async def mend() -> None:
            credential.token = azure.identity.token(storage)

        options = {"connection_verify": str(azure.ca_file)}
        async with uploader_to(azure.blob.account_url, credential, client_options=options) as uploader:
            await check_it_waits_and_resumes(uploader, path, AccessDeniedError, hint, mend)


async def test_a_signature_without_the_right_to_write(blob: Blob, path: Path) -> None:
    credential = AzureSasCredential(sas(blob, "r"))

    async def mend() -> None:
        credential.update(sas(blob, "cw"))

    async with uploader_to(blob.account_url, credential) as uploader:
        await check_it_waits_and_resumes(
            uploader, path, AccessDeniedError, "'Storage Blob Data Contributor'.*SAS with the rights c and w", mend
        )


@pytest.mark.parametrize(
    ("create", "error", "hint"),
    [
        (False, ContainerMissingError, "create_container=True"),
        (True, AccessDeniedError, "Creating the container later: .*'Storage Blob Data Contributor'"),
    ],
)
async def test_a_container_that_is_missing_and_not_to_be_made(
    blob: Blob,
    path: Path,
    create: bool,  # noqa: FBT001 - a parameter of pytest
    error: type[SetupError],
    hint: str,
) -> None:
    async def mend() -> None:
        async with BlobServiceClient.from_connection_string(blob.connection_string) as somebody:
            await somebody.create_container("later")

    write_only = AzureSasCredential(sas(blob, "cw", container="later"))
    async with uploader_to(blob.account_url, write_only, "later", create_container=create) as uploader:
        await check_it_waits_and_resumes(uploader, path, error, hint, mend)


async def test_a_ready_made_container_with_the_right_to_write_alone(blob: Blob, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"content")
    large.write_bytes(bytes(9 * MIB))

    write_only = AzureSasCredential(sas(blob, "cw"))
    async with uploader_to(blob.account_url, write_only, create_container=True, delete_after_upload=True) as uploader:
        for path in (small, large):
            assert isinstance(await (await uploader.upload_file(path)), Created)
        small.write_bytes(b"content")
        with pytest.raises(Conflict, match="we may only write"):
            await (await uploader.upload_file(small))

    assert (small.exists(), large.exists()) == (True, False)
