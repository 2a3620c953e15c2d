"""The Blob stand-in as a server: its life, its address, and the one way every request takes."""

import secrets
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from penstock_local_azure._guard import Protection

from . import _answers, _blob_operations, _container_operations
from ._access import Access
from ._call import Call
from ._operations import check_features
from ._refusal import Refusal
from ._store import Store

Handler = Callable[[Store, Call], Awaitable[web.StreamResponse]]

_HANDLERS: Final[Mapping[str, Handler]] = {
    "List Containers": _container_operations.list_containers,
    "Create Container": _container_operations.create_container,
    "Get Container Properties": _container_operations.get_container,
    "Delete Container": _container_operations.delete_container,
    "List Blobs": _container_operations.list_blobs,
    "Put Blob": _blob_operations.put_blob,
    "Put Block": _blob_operations.put_block,
    "Put Block List": _blob_operations.put_block_list,
    "Get Block List": _blob_operations.get_block_list,
    "Get Blob": _blob_operations.get_blob,
    "Get Blob Properties": _blob_operations.get_blob_properties,
    "Delete Blob": _blob_operations.delete_blob,
}

_SHUTDOWN: Final = 1.0  # s for answers under way when the server stops
_KEY_BYTES: Final = 64


class Blob:
    """A stand-in for one Blob Storage account, in memory, on a socket of its own.

    An async context manager: it listens from ``async with`` on, and when the block ends the port is free; only
    :meth:`stats` still answers. What it serves, and how near it is to the service, is written in FIDELITY.md.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0: any free one.
        account: Name of the storage account.
        account_key: Its key, base64; None: a new random one.
        containers: Names of containers that are there from the start.
        Protection: TLS and the check of tokens; None: plain, and only the key counts.
        clock: Seconds since the epoch, for Last-Modified and ETags.

    Raises:
        ValueError: For an ``account_key`` that is not base64, or a name in ``containers`` that Azure would not take.
        OSError: From ``async with``, when the port is taken.

    Example:
        >>> async with Blob(containers=["logs"]) as blob:
        ...     service = BlobServiceClient.from_connection_string(blob.connection_string)
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        account: str = "penstocklocal",
        account_key: str | None = None,
        containers: Iterable[str] = (),
        protection: Protection | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._port = port
        self._account = account
        self._key = _checked(account_key) if account_key else b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        self._scheme = "https" if protection else "http"
        self._ssl_context = protection.ssl_context if protection else None
        self._access = Access(account, self._key, protection.guard if protection else None)
        self._store = _filled(Store(clock), containers)
        self._requests: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_response_prepare.append(_answers.stamp)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN, auto_decompress=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, ssl_context=self._ssl_context).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def account_url(self) -> str:
        """The account's address; a client needs the key beside it."""
        return f"{self._scheme}://{self._host}:{self._port}/{self._account}"

    @property
    def account_key(self) -> str:
        """The account's key, base64."""
        return self._key

    @property
    def connection_string(self) -> str:
        """Address and key in one."""
        return (
            f"DefaultEndpointsProtocol={self._scheme};AccountName={self._account};AccountKey={self._key};"
            f"BlobEndpoint={self.account_url};"
        )

    def stats(self) -> dict[str, object]:
        """The stand-in's own accounts, for JSON.

        Returns:
            ``containers``, ``blobs`` and ``bytes`` as they are now (committed blobs only), and ``requests``: how many
            came in since the start, by the name of their operation, refused ones included.
        """
        return {**self._store.stats(), "requests": dict(sorted(self._requests.items()))}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, one way or the other."""
        try:
            return await self._serve(Call.of(request, self._account))
        except Refusal as refusal:
            await request.release()  # of a body unread: some clients hear nothing before they have said it all
            return _answers.refused(request, refusal)
        except ConnectionError:
            return web.Response(status=HTTPStatus.BAD_REQUEST)  # the client hung up: nobody will read this

    async def _serve(self, call: Call) -> web.StreamResponse:
        """Let a request through to its operation."""
        self._requests[call.operation] += 1
        self._access.authorise(call.signed)
        if call.operation not in _HANDLERS:
            raise Refusal("NotImplemented", call.operation)
        check_features(call.operation, call.query, call.request.headers)
        return await _HANDLERS[call.operation](self._store, call)


def _checked(account_key: str) -> str:
    """The key given, if it can be one."""
    try:
        b64decode(account_key, validate=True)
    except Base64Error:
        raise ValueError("account_key must be base64, as Azure's account keys are") from None
    return account_key


def _filled(store: Store, containers: Iterable[str]) -> Store:
    """The store with its first containers."""
    for name in containers:
        try:
            store.create_container(name)
        except Refusal as refusal:
            raise ValueError(f"containers: cannot create {name!r}: {refusal.message}") from refusal
    return store
