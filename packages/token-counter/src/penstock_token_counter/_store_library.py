"""What is used of the client library, which belongs to an extra, and where a server is."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit


def address(url: str) -> str:
    """Return what may be shown of a store's URL: no user, no password.

    Raises:
        ValueError: It is no such URL.
    """
    parts = urlsplit(url)
    where = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in ("redis", "rediss", "unix") or not where:
        raise ValueError("must be redis://host:port, rediss://host:port for TLS, or unix:///path")
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    host = parts.hostname or ""
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


class Library(NamedTuple):
    """What is used of the client library."""

    Redis: Any
    BlockingConnectionPool: Any
    RedisError: type[Exception]
    Retry: Any
    NoBackoff: Any


def library() -> Library:
    """Import the client library, which belongs to an extra.

    Raises:
        ImportError: It is not installed.
    """
    try:
        from redis import RedisError  # noqa: PLC0415 - belongs to an extra
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ImportError as error:
        raise ImportError('a store needs the extra: pip install "penstock-token-counter[redis]"') from error
    return Library(Redis, BlockingConnectionPool, RedisError, Retry, NoBackoff)
