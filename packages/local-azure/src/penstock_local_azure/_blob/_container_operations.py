"""The operations on the account and its containers, from request to answer."""

from . import _headers, _xml
from ._answers import Answer, document
from ._call import Call
from ._records import Container
from ._store import Store


async def list_containers(store: Store, call: Call) -> Answer:
    """List Containers."""
    query, metadata = call.listing(), call.wants_metadata()
    found, page = store.list_containers(query)
    return document(_xml.containers(_endpoint(call), query, page, found, metadata=metadata))


async def get_account(_store: Store, _call: Call) -> Answer:
    """Get Account Information."""
    kind = {"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2", "x-ms-is-hns-enabled": "false"}
    return Answer(headers=kind)


async def create_container(store: Store, call: Call) -> Answer:
    """Create Container."""
    container = store.create_container(call.container, _headers.metadata(call.request.headers))
    return Answer(status=201, headers=_version(container))


async def get_container(store: Store, call: Call) -> Answer:
    """Get Container Properties."""
    return Answer(headers=_headers.of_container(store.container(call.container)))


async def get_container_metadata(store: Store, call: Call) -> Answer:
    """Get Container Metadata."""
    container = store.container(call.container)
    return Answer(headers={**_version(container), **_headers.of_metadata(container.metadata)})


async def set_container_metadata(store: Store, call: Call) -> Answer:
    """Set Container Metadata."""
    headers = call.request.headers
    container = store.set_container_metadata(call.container, _headers.metadata(headers), _headers.conditions(headers))
    return Answer(headers=_version(container))


async def delete_container(store: Store, call: Call) -> Answer:
    """Delete Container."""
    store.delete_container(call.container, _headers.conditions(call.request.headers))
    return Answer(status=202)


async def list_blobs(store: Store, call: Call) -> Answer:
    """List Blobs."""
    query, metadata = call.listing(), call.wants_metadata()
    found, page = store.list_blobs(call.container, query)
    return document(_xml.blobs(_endpoint(call), call.container, query, page, found, metadata=metadata))


def _version(container: Container) -> dict[str, str]:
    return _headers.of_version(container.etag, container.modified)


def _endpoint(call: Call) -> str:
    """The account's address as the client wrote it."""
    return f"{call.request.scheme}://{call.request.host}/{call.signed.path.split('/')[1]}/"
