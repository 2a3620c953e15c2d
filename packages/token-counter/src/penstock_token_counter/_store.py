"""Where several counters keep the pools they share: a Valkey or Redis server or cluster, and what it is asked.

Why like this. Counters must decide as one ledger would, so the rules must exist once. Written anew in Lua they would be
some hundred lines, to be kept equal to the ledger's for ever, with learning left out. So the store decides nothing. It
keeps, of each pool, what has changed (`_words`), in order and by name; each counter follows it with a ledger of its
own, decides by the rules that one process has too, and writes what changed. A script of a few lines takes that only if
it builds on the newest version (`_store_scripts`), so whatever was decided beside somebody else's decision is decided
anew. What a decision costs does not depend on how much is kept: two round trips, shared by all decisions of a moment,
and the changes themselves. No counter leads: whoever has callers takes a turn, and grants to whoever is next, be the
caller here or there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from . import _store_scripts as scripts
from ._paused import PausedError
from ._store_facts import Busy, Kept, Taken, read_taken
from ._store_identity import StoreIdentity
from ._store_library import address, is_cluster, renew, renew_cluster
from ._store_library import library as import_library
from ._store_listener import StoreListener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from ._store_facts import Changes
    from ._store_identity import StoreCredential

_LOG = logging.getLogger(__name__)

_META_KEPT = 30 * 86_400.0
"""Seconds for which a pool's version outlives its last change, which tells a pool that rested from one that is lost."""

_ENTRIES = 1_000
"""Entries that are kept for those who follow; whoever is further behind loads everything."""

_AT_A_TIME = 64
"""Questions that are with the server, or with a cluster, at the same time; the others wait for their turn."""

_MOST_CONNECTIONS = 2 * _AT_A_TIME
"""Connections to one server: for questions, for those that end just now, and to listen."""

_UNREACHABLE = "the store cannot be used, and nothing is granted without it"


class StoreAwayError(PausedError):
    """Raised while the store cannot be reached, so that nothing can be promised.

    Attributes:
        reason: What went wrong, in the words of the client library, but for its text, which may hold anything.
    """

    def __init__(self, reason: str = "no answer") -> None:
        super().__init__(_UNREACHABLE)
        self.reason = reason


class Store:
    """Owns the connections to one server, or to one cluster.

    Args:
        url: ``redis://[user:password@]host[:port][/database]``, or ``rediss://`` for TLS, or ``unix://path``;
            ``redis-cluster://`` or ``rediss-cluster://`` and any node of a cluster.
        counter: Text that no other counter uses.
        timeout: Seconds within which the server must answer.
        options: Further options of `redis.asyncio.Redis.from_url`, or of `RedisCluster.from_url`, such as
            ``ssl_ca_certs`` or ``credential_provider``.
        credential: An asynchronous Entra ID credential, instead of user and password; it is not closed.

    Raises:
        ImportError: The extra ``redis`` is not installed.
        ValueError: The URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        counter: str,
        timeout: float = 2.0,
        options: Mapping[str, Any] | None = None,
        credential: StoreCredential | None = None,
    ) -> None:
        self.counter = counter
        self.address = address(url)
        library = import_library()
        self._errors = library.errors
        self._is_cluster = is_cluster(url)
        settings: dict[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "max_connections": _MOST_CONNECTIONS,
        }
        self._identity: StoreIdentity | None = None
        if credential is not None:
            self._identity = StoreIdentity(credential, library.JWToken, library.errors)
            settings["credential_provider"] = self._identity
        self._client = library.connect(url, {**settings, **(options or {})})
        self._room = asyncio.Semaphore(_AT_A_TIME)
        self._take = self._client.register_script(scripts.take())
        self._load = self._client.register_script(scripts.load())
        self._commit = self._client.register_script(scripts.commit())
        self._let_go = self._client.register_script(scripts.let_go())
        self._eviction = self._client.register_script(scripts.eviction())
        self._listener = StoreListener(self._client, self._errors, counter=counter, is_cluster=self._is_cluster)
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: set[str] = set()
        self._may_evict = False

    async def look(self, pool: str, version: int) -> Taken:
        """Tell what is new since a version.

        Raises:
            StoreAwayError: It cannot be reached.
        """
        return read_taken(await self._ask_for(pool, version, lease=0.0))

    async def take(self, pool: str, version: int, *, lease: float) -> Taken | Busy:
        """Tell what is new since a version, and take the turn for at most some seconds.

        Raises:
            StoreAwayError: It cannot be reached.
        """
        answer = await self._ask_for(pool, version, lease=lease)
        return Busy(int(answer[1]) / 1e6) if answer[0] == b"busy" else read_taken(answer)

    async def load(self, pool: str) -> Kept:
        """Tell all that is kept.

        Raises:
            StoreAwayError: It cannot be reached.
        """
        async with self._reaching():
            version, instance, opened, granted, flat = await self._load(keys=_keys(pool, "meta", "state"))
        if version is None:
            return Kept(None, "", 0.0, 0, {})
        names = (name.decode() for name in flat[::2])
        fields = dict(zip(names, flat[1::2], strict=True))
        return Kept(int(version), instance.decode(), float(opened), int(granted), fields)

    async def commit(self, pool: str, changes: Changes) -> bool:
        """Keep what was decided, and end the turn; tell whether it was taken: nobody else was faster.

        Raises:
            StoreAwayError: It cannot be reached, and nobody knows whether it was taken.
        """
        fields = [
            part
            for name, (value, at) in changes.fields.items()
            for part in (name, value, "" if at is None else _microseconds(at))
        ]
        arguments = [
            self.counter,
            changes.version,
            changes.server,
            changes.instance,
            repr(changes.opened),
            changes.granted,
            changes.entry,
            _microseconds(changes.at),
            _milliseconds(_META_KEPT + changes.keep),
            _milliseconds(changes.keep),
            _microseconds(changes.at - changes.keep),
            _ENTRIES,
            _channel(pool),
            changes.kept_by or "",
            len(changes.fields),
            *fields,
            *changes.dropped,
        ]
        async with self._reaching():
            return bool(await self._commit(keys=_keys(pool, "meta", "state", "ages", "log"), args=arguments))

    async def let_go(self, pool: str) -> None:
        """End a turn in which nothing changed.

        Raises:
            StoreAwayError: It cannot be reached.
        """
        async with self._reaching():
            await self._let_go(keys=_keys(pool, "meta"), args=[self.counter])

    async def inspect(self, pool: str, server: str) -> None:
        """Say so, once, if the server that keeps a pool was not seen before and may evict what it keeps.

        Raises:
            StoreAwayError: It cannot be reached.
        """
        if server in self._servers:
            return
        async with self._reaching():
            policy = await self._eviction(keys=_keys(pool, "meta"))
        self._servers.add(server)
        if policy is None or self._may_evict:
            return
        self._may_evict = True
        _LOG.warning(
            "the store at %s may evict what it keeps of a pool (maxmemory-policy %s), which may then grant nothing for "
            "one window: set maxmemory-policy noeviction",
            self.address,
            policy.decode(),
        )

    def listen(self, wake: Mapping[str, Callable[[], None]]) -> None:
        """Wake a pool's gate whenever another counter has decided something, and stay signed in meanwhile."""
        by_channel = {_channel(pool): call for pool, call in wake.items()}
        self._tasks.append(asyncio.create_task(self._listener.listen(by_channel)))
        if self._identity is not None:
            self._tasks.append(asyncio.create_task(self._identity.keep(self._sign_in)))

    async def aclose(self) -> None:
        """Close the connections."""
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._client.aclose()
        if self._is_cluster:  # which keeps its connections, if it has just lost a node
            for node in self._client.get_nodes():
                await node.disconnect()

    async def _ask_for(self, pool: str, version: int, *, lease: float) -> Any:  # noqa: ANN401 - what a script returns
        """Run the script that looks, or takes a turn."""
        arguments = [self.counter, version, _milliseconds(lease), _milliseconds(_META_KEPT)]
        async with self._reaching():
            return await self._take(keys=_keys(pool, "meta", "state", "log"), args=arguments)

    async def _sign_in(self) -> None:
        """Have every connection made anew; the one that listens is made anew when the server ends it."""
        if self._is_cluster:
            renew_cluster(self._client)
        else:
            await renew(self._client)

    @contextlib.asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        """Turn the library's errors into ours; their texts may hold what was sent."""
        async with self._room:
            try:
                yield
            except self._errors as error:
                raise StoreAwayError(type(error).__name__) from error


def _keys(pool: str, *names: str) -> list[str]:
    """Return keys of a pool; what is in braces decides the slot of a cluster."""
    return [f"penstock:{scripts.MAJOR}:{{{pool}}}:{name}" for name in names]


def _channel(pool: str) -> str:
    """Return where a pool's changes are published."""
    return f"penstock:{scripts.MAJOR}:{{{pool}}}:changed"


def _milliseconds(seconds: float) -> int:
    """Return whole milliseconds."""
    return round(seconds * 1000)


def _microseconds(seconds: float) -> int:
    """Return whole microseconds, as the store's times are."""
    return round(seconds * 1e6)
