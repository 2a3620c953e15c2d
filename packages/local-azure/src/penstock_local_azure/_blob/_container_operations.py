"""The operations on the account and its containers, from request to answer."""

from aiohttp import web

from . import _headers, _xml
from ._answers import document
from ._call import Call
from ._store import Store


async def list_containers(store: Store, call: Call) -> web.StreamResponse:
    """List Containers."""
    query, metadata = call.listing(), call.wants_metadata()
    found, page = store.list_containers(query)
    return document(_xml.containers(_endpoint(call), query, page, found, metadata=metadata))


async def create_container(store: Store, call: Call) -> web.StreamResponse:
    """Create Container."""
    container = store.create_container(call.container, _headers.metadata(call.request.headers))
    return web.Response(status=201, headers=_headers.of_version(container.etag, container.modified))


async def get_container(store: Store, call: Call) -> web.StreamResponse:
    """Get Container Properties."""
    return web.Response(headers=_headers.of_container(store.container(call.container)))


async def delete_container(store: Store, call: Call) -> web.StreamResponse:
    """Delete Container."""
    store.delete_container(call.container, _headers.conditions(call.request.headers))
    return web.Response(status=202)


async def list_blobs(store: Store, call: Call) -> web.StreamResponse:
    """List Blobs."""
    query, metadata = call.listing(), call.wants_metadata()
    found, page = store.list_blobs(call.container, query)
    return document(_xml.blobs(_endpoint(call), call.container, query, page, found, metadata=metadata))


def _endpoint(call: Call) -> str:
    """The account's address as the client wrote it."""
    return f"http://{call.request.host}/{call.signed.path.split('/')[1]}/"
