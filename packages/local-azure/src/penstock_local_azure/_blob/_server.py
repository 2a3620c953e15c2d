"""The Blob stand-in as a server: its life, its address, and the one way every request takes."""

import logging
import secrets
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from penstock_local_azure._guard import Protection
from penstock_local_azure._listening import listening

from . import _blob_operations, _container_operations
from ._access import Access
from ._answers import Answer, refused
from ._call import Call
from ._delivery import deliver
from ._directory import Directory
from ._faults import CutRequest, Fault, Faults, StorageError
from ._names import check_container_name
from ._operations import check_features
from ._refusal import Refusal
from ._store import Store

Handler = Callable[[Store, Call], Awaitable[Answer]]

_HANDLERS: Final[Mapping[str, Handler]] = {
    "List Containers": _container_operations.list_containers,
    "Get Account Information": _container_operations.get_account,
    "Create Container": _container_operations.create_container,
    "Get Container Properties": _container_operations.get_container,
    "Get Container Metadata": _container_operations.get_container_metadata,
    "Set Container Metadata": _container_operations.set_container_metadata,
    "Delete Container": _container_operations.delete_container,
    "List Blobs": _container_operations.list_blobs,
    "Put Blob": _blob_operations.put_blob,
    "Put Block": _blob_operations.put_block,
    "Put Block List": _blob_operations.put_block_list,
    "Get Block List": _blob_operations.get_block_list,
    "Get Blob": _blob_operations.get_blob,
    "Get Blob Properties": _blob_operations.get_blob_properties,
    "Get Blob Metadata": _blob_operations.get_blob_metadata,
    "Set Blob Metadata": _blob_operations.set_blob_metadata,
    "Set Blob Properties": _blob_operations.set_blob_properties,
    "Delete Blob": _blob_operations.delete_blob,
}

_KEY_BYTES: Final = 64

_logger = logging.getLogger(__name__)


class Blob:
    """A stand-in for one Blob Storage account, on a socket of its own.

    An async context manager: it listens from ``async with`` on, and when the block ends the port is free; only
    :meth:`stats` still answers. What it serves, and how near it is to the service, is written in FIDELITY.md.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0: any free one.
        account: Name of the storage account.
        account_key: Its key, base64; None: a new random one.
        containers: Names of containers that are there from the start.
        directory: Where to keep blobs, so that they take no memory and are there again next time; None: in memory, for
            this time only.
        protection: TLS and the check of tokens; None: plain, and only the key counts.
        clock: Seconds since the epoch, for Last-Modified, ETags and the lives of shared access signatures.

    Raises:
        ValueError: For an ``account_key`` that is not base64, or a name in ``containers`` that Azure would not take.
        OSError: From ``async with``, when the port is taken.
        DirectoryUnavailable: From ``async with``, when the directory is in use or cannot be used.

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
        directory: Path | str | None = None,
        protection: Protection | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._port = port
        self._account = account
        self._containers = _checked_names(containers)
        self._scheme = "https" if protection else "http"
        self._ssl_context = protection.ssl_context if protection else None
        key = _checked(account_key) if account_key else _new_key()
        self._access = Access(account, key, protection.guard if protection else None, clock)
        self._store = Store(clock, None if directory is None else Directory(Path(directory)))
        self._requests: Counter[str] = Counter()
        self._answers: Counter[int] = Counter()
        self._stack = AsyncExitStack()
        self.faults = Faults(_HANDLERS)
        """What goes wrong, by script."""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._respond)
        async with AsyncExitStack() as stack:
            stack.callback(self._store.close)
            self._store.open()
            self._store.ensure_containers(self._containers)
            site = listening(app, self._host, self._port, self._ssl_context, auto_decompress=False)
            self._port = await stack.enter_async_context(site)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def account_url(self) -> str:
        """The account's address; a client needs the key beside it."""
        return f"{self._scheme}://{self._host}:{self._port}/{self._account}"

    @property
    def account_key(self) -> str:
        """The account's key, base64."""
        return self._access.key

    @property
    def connection_string(self) -> str:
        """Address and key in one."""
        return (
            f"DefaultEndpointsProtocol={self._scheme};AccountName={self._account};AccountKey={self.account_key};"
            f"BlobEndpoint={self.account_url};"
        )

    def regenerate_key(self) -> str:
        """Give the account a new key and return it: what was signed with the old one is refused from now on."""
        self._access.key = _new_key()
        return self._access.key

    def stats(self) -> dict[str, Any]:
        """The stand-in's own accounts, for JSON.

        Returns:
            ``containers``, ``blobs`` and ``bytes`` as they are now (committed blobs only), and ``staged_blocks``, which
            wait to be committed; ``requests``: how many came in since the start, by the name of their operation,
            refused ones included; ``answers``: how many were given, by status, those that were lost on their way
            included; ``faults``: what went wrong by the script.
        """
        return {
            **self._store.stats(),
            "requests": dict(sorted(self._requests.items())),
            "answers": {str(status): count for status, count in sorted(self._answers.items())},
            "faults": self.faults.account(),
        }

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, one way or the other."""
        fault: Fault | None = None
        try:
            call = self._admit(request)
            fault = self.faults.strike(call.operation, call.container, call.blob)
            answer = await self._operate(replace(call, fault=fault))
        except Refusal as refusal:
            await request.release()  # of a body unread: some clients hear nothing before they have said it all
            answer = refused(refusal)
        except ConnectionError:
            return web.Response(status=HTTPStatus.BAD_REQUEST)  # the client hung up: nobody will read this
        self._answers[answer.status] += 1
        return await deliver(request, answer, fault)

    def _admit(self, request: web.Request) -> Call:
        """Take a request apart, if we serve it and its sender may ask it."""
        call = Call.of(request, self._account)
        self._requests[call.operation] += 1
        if call.operation not in _HANDLERS:
            raise Refusal("NotImplemented", call.operation)
        self._access.authorise(call, overwrites=self._store.has_blob(call.container, call.blob))
        check_features(call.operation, call.query, request.headers)
        return call

    async def _operate(self, call: Call) -> Answer:
        """Do what a request asks, unless a fault comes before."""
        match call.fault:
            case StorageError():
                raise call.fault.refusal()
            case CutRequest(after) if after == 0 or not call.request.can_read_body:
                call.hang_up()
        try:
            return await _HANDLERS[call.operation](self._store, call)
        except ConnectionError:
            raise
        except OSError as error:  # a full disk, or a directory that is gone
            _logger.error("%s failed: %s", call.operation, error)  # noqa: TRY400  # the disk's trouble, not the code's
            raise Refusal("InternalError") from error


def _new_key() -> str:
    """A random key."""
    return b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _checked(account_key: str) -> str:
    """The key given, if it can be one."""
    try:
        b64decode(account_key, validate=True)
    except Base64Error:
        raise ValueError("account_key must be base64, as Azure's account keys are") from None
    return account_key


def _checked_names(containers: Iterable[str]) -> tuple[str, ...]:
    """The names given, if containers can have them."""
    names = tuple(containers)
    for name in names:
        try:
            check_container_name(name)
        except Refusal as refusal:
            raise ValueError(f"containers: cannot create {name!r}: {refusal.message}") from refusal
    return names
