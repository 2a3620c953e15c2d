"""The command line of the counter, and what is wrong with it in one sentence."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock_token_client import Limits
from penstock_token_client.protocol import DEFAULT_POOL, pool_path

from ._usage import Parser, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_LARGEST_PORT = 65535


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command line asks for."""

    pools: dict[str, Limits]
    host: str
    port: int
    assume_idle: bool
    journal: str | None
    json: bool
    stop_with_stdin: bool


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        UsageError: It makes no sense.
    """
    given = _parser().parse_args(arguments)
    if not 0 <= given.port <= _LARGEST_PORT:
        raise UsageError(f"--port {given.port} is no port: give 1 to {_LARGEST_PORT}, or 0 for a free one")
    if not given.insecure and not _is_loopback(given.host):
        raise UsageError(
            f"--host {given.host} can be reached from outside and this counter checks no keys: "
            "use a loopback address, or add --insecure if the network is closed"
        )
    return Options(
        pools=_pools(given),
        host=given.host,
        port=given.port,
        assume_idle=given.assume_idle,
        journal=given.journal,
        json=given.json,
        stop_with_stdin=given.stop_with_stdin,
    )


def _parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = Parser(
        prog="penstock-token-counter",
        description="Own the tokens-per-minute and requests-per-minute quota that a fleet of workers shares.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", default=8001, type=int, help="port to listen on, 0 for a free one (default: %(default)s)")
    add(
        "--pool",
        action="append",
        default=[],
        metavar="NAME:tpm=N,rpm=N[,sub=S]",
        help="a pool and its limits; sub is Azure's request sub-window in seconds, 1 or 10 (default 1); repeatable",
    )
    add("--tpm", type=int, help=f"tokens per minute of the pool {DEFAULT_POOL!r}")
    add("--rpm", type=int, help=f"requests per minute of the pool {DEFAULT_POOL!r}")
    add("--headroom", default=0.02, type=float, help="share added to prompt estimates (default: %(default)s)")
    add("--assume-idle", action="store_true", help="grant at once, instead of waiting one minute for what went before")
    add("--journal", metavar="DIR", help="directory in which grants are kept, so that a crash forgets none of them")
    add("--insecure", action="store_true", help="allow an address that others can reach, without keys")
    add("--json", action="store_true", help="say where it listens as a line of JSON")
    add("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser


def _pools(given: argparse.Namespace) -> dict[str, Limits]:
    """Collect the pools from ``--pool`` and from ``--tpm`` and ``--rpm``."""
    if (given.tpm is None) != (given.rpm is None):
        raise UsageError("--tpm and --rpm belong together: give both")
    pools: dict[str, Limits] = {}
    if given.tpm is not None:
        pools[DEFAULT_POOL] = _limits("--tpm and --rpm", {"tpm": given.tpm, "rpm": given.rpm}, given.headroom)
    for text in given.pool:
        name, _, settings = text.partition(":")
        option = f"--pool {text}"
        if name in pools:
            raise UsageError(f"{option} gives pool {name!r} twice: give it once")
        try:
            pool_path(name)
        except ValueError as error:
            raise UsageError(f"{option} cannot be used: {error}") from None
        pools[name] = _limits(option, _settings(option, settings), given.headroom)
    if not pools:
        raise UsageError("there is no pool to serve: give --tpm N --rpm N, or --pool NAME:tpm=N,rpm=N")
    return pools


def _settings(option: str, text: str) -> dict[str, float]:
    """Read ``tpm=N,rpm=N[,sub=S]``."""
    settings: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in ("tpm", "rpm", "sub") or name in settings:
            raise UsageError(f"{option} cannot be read: write NAME:tpm=N,rpm=N[,sub=S]")
        try:
            settings[name] = float(value) if name == "sub" else int(value)
        except ValueError:
            raise UsageError(f"{option} has no number after {name}=") from None
    if "tpm" not in settings or "rpm" not in settings:
        raise UsageError(f"{option} lacks tpm= or rpm=: give both")
    return settings


def _limits(option: str, settings: dict[str, float], headroom: float) -> Limits:
    """Check the limits of one pool."""
    try:
        return Limits(
            tpm=int(settings["tpm"]), rpm=int(settings["rpm"]), sub_window=settings.get("sub", 1.0), headroom=headroom
        )
    except ValueError as error:
        raise UsageError(f"{option} cannot be used: {error}") from None


def _is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address; a name other than localhost might be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
