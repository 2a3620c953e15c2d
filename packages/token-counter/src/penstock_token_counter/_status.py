"""The command ``penstock-token-counter status``: how the pools of a running counter stand."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from penstock_token_client.protocol import VERSION

from ._status_text import status_text
from ._usage import Parser, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_DEFAULT_URL = "http://localhost:8001"
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)


def run(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status.

    Raises:
        UsageError: There is no status to be had; the text says why.
    """
    given = _parser().parse_args(arguments)
    url = _url(given.url)
    statuses = asyncio.run(_fetch(url, given.pool))
    sys.stdout.write(_json(url, statuses) if given.json else status_text(statuses, blocks=_has_blocks()))
    return 0


def _parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = Parser(
        prog="penstock-token-counter status",
        description="Say how the pools of a running counter stand. The key, if one is needed, is TOKEN_COUNTER_KEY.",
    )
    add = parser.add_argument
    add("--url", help=f"the counter's address (default: TOKEN_COUNTER_URL, or {_DEFAULT_URL})")
    add("--pool", help="only this pool")
    add("--json", action="store_true", help="one line of JSON")
    return parser


def _url(option: str | None) -> str:
    """Return the counter's address without its trailing slash."""
    url = (option or os.environ.get("TOKEN_COUNTER_URL", "")).strip() or _DEFAULT_URL
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc:
        raise UsageError(f"--url (or TOKEN_COUNTER_URL) must be an address such as {_DEFAULT_URL}, without credentials")
    return url.rstrip("/")


async def _fetch(url: str, pool: str | None) -> list[dict[str, Any]]:
    """Ask a counter for the status of one pool, or of all."""
    key = os.environ.get("TOKEN_COUNTER_KEY", "").strip()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    path, query = ("/pools", {}) if pool is None else ("/status", {"pool": pool})
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session,
            session.get(url + path, params=query, allow_redirects=False) as response,
        ):
            status, body = response.status, await response.read()
    except TimeoutError:
        raise UsageError(f"the token counter at {url} gives no answer: it may be overloaded, or stopped") from None
    except aiohttp.ClientError as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
        raise UsageError(
            f"no token counter can be reached at {url} ({reason}): start it, or give another --url"
        ) from None
    return _statuses(url, status, body)


def _statuses(url: str, status: int, body: bytes) -> list[dict[str, Any]]:
    """Read an answer."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise UsageError(f"the token counter at {url} asks for a key of its own: put it into TOKEN_COUNTER_KEY")
    if not isinstance(answer, dict) or "v" not in answer:
        raise UsageError(f"what answers at {url} is no token counter (HTTP {status}): give another --url")
    if answer["v"] != VERSION:
        raise UsageError(f"the token counter at {url} is of another version: use the command that came with it")
    if status != HTTPStatus.OK:
        raise UsageError(f"the token counter at {url} refuses: {answer.get('message', f'HTTP {status}')}")
    del answer["v"]
    pools: list[dict[str, Any]] = answer.get("pools", [answer])
    return pools


def _json(url: str, statuses: Sequence[dict[str, Any]]) -> str:
    """Return the statuses for a program."""
    return json.dumps({"v": VERSION, "url": url, "pools": statuses}) + "\n"


def _has_blocks() -> bool:
    """Tell whether standard output can show bars of blocks."""
    try:
        "█░".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
