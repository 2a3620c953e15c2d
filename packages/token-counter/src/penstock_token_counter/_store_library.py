"""What is used of the client library, which belongs to an extra, and where a server or a cluster is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_CLUSTERS = "-cluster"
"""Ends the scheme of a cluster's URL."""

_SCHEMES = ("redis", "rediss", f"redis{_OF_CLUSTERS}", f"rediss{_OF_CLUSTERS}", "unix")


def address(url: str) -> str:
    """Return what may be shown of a store's URL: no user, no password.

    Raises:
        ValueError: It is no such URL.
    """
    parts = urlsplit(url)
    where = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in _SCHEMES or not where:
        raise ValueError(
            "must be redis://host:port, rediss://host:port for TLS, redis-cluster:// or rediss-cluster:// and any node "
            "of a cluster, or unix:///path"
        )
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    if is_cluster(url) and parts.path not in ("", "/", "/0"):
        raise ValueError("must name no database, because a cluster has but one")
    host = parts.hostname or ""
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def is_cluster(url: str) -> bool:
    """Tell whether a URL leads to a cluster."""
    return urlsplit(url).scheme.endswith(_OF_CLUSTERS)


class Library(NamedTuple):
    """What is used of the client library."""

    Redis: Any
    RedisCluster: Any
    Retry: Any
    NoBackoff: Any
    JWToken: Any
    errors: tuple[type[Exception], ...]

    def connect(self, url: str, options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a client of one of two kinds
        """Return a client, which connects when it is used and sends nothing twice."""
        once = self.Retry(self.NoBackoff(), 0)  # what may have been kept must not be repeated blindly
        if not is_cluster(url):
            return self.Redis.from_url(url, **{"retry": once, **options})
        # Pools in slots that nobody serves at the moment, or that have moved, must not stop the others.
        own = {"retry": once, "require_full_coverage": False, "reinitialize_steps": 0}
        return self.RedisCluster.from_url(url.replace(_OF_CLUSTERS, "", 1), **{**own, **options})


def library() -> Library:
    """Import the client library, which belongs to an extra.

    Raises:
        ImportError: It is not installed.
    """
    try:
        from redis import RedisError  # noqa: PLC0415 - belongs to an extra
        from redis.asyncio import Redis, RedisCluster  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.auth.token import JWToken  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import RedisClusterException  # noqa: PLC0415
    except ImportError as error:
        raise ImportError('a store needs the extra: pip install "penstock-token-counter[redis]"') from error
    return Library(Redis, RedisCluster, Retry, NoBackoff, JWToken, (RedisError, RedisClusterException, OSError))


async def renew(client: Any) -> None:  # noqa: ANN401 - the library's
    """Have the connections to one server made anew when they are used next, and no question lose its answer.

    The library would sign in anew on a connection that is in use when somebody else may be using it already.
    """
    pool = client.connection_pool
    async with pool._lock:  # noqa: SLF001 - connections are taken under it, so these are idle and stay so
        for connection in pool._available_connections:  # noqa: SLF001
            await connection.disconnect()
    await pool.update_active_connections_for_reconnect()


def renew_cluster(client: Any) -> None:  # noqa: ANN401 - the library's
    """Have the connections to every node of a cluster made anew when they are used next.

    The library's own ways leave out those that are in use, or end those that somebody has begun to use meanwhile.
    """
    for node in client.get_nodes():
        for connection in node._connections:  # noqa: SLF001
            connection.mark_for_reconnect()
