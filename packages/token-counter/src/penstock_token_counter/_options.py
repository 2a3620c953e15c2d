"""The command line of ``serve``, and what is wrong with it in one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock_token_client import Limits
from penstock_token_client.protocol import DEFAULT_POOL, pool_path

from ._access import check_exposure
from ._configuration import Configuration, PoolSettings, read_configuration
from ._store_library import address
from ._usage import Parser, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["Options", "UsageError", "read_options"]

_LARGEST_PORT = 65535
_HEADROOM = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command line asks for."""

    configuration: Configuration
    host: str
    port: int
    insecure: bool
    assume_idle: bool
    journal: str | None
    store: str | None
    store_entra: bool
    requests_per_second: float
    json: bool
    stop_with_stdin: bool

    @property
    def pools(self) -> dict[str, Limits]:
        """The limits of each pool, by its name."""
        return {name: pool.limits for name, pool in self.configuration.pools.items()}


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        UsageError: It makes no sense.
    """
    given = _parser().parse_args(arguments)
    if not 0 <= given.port <= _LARGEST_PORT:
        raise UsageError(f"--port {given.port} is no port: give 1 to {_LARGEST_PORT}, or 0 for a free one")
    if not 0 < given.requests_per_second < math.inf:
        raise UsageError(f"--requests-per-second {given.requests_per_second} is no rate: give a number above 0")
    configuration = _configuration(given)
    try:
        check_exposure(given.host, configuration.access, insecure=given.insecure)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    return Options(
        configuration=configuration,
        host=given.host,
        port=given.port,
        insecure=given.insecure,
        assume_idle=given.assume_idle,
        journal=given.journal,
        store=_store(given),
        store_entra=given.store_entra,
        requests_per_second=given.requests_per_second,
        json=given.json,
        stop_with_stdin=given.stop_with_stdin,
    )


def _parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = Parser(
        prog="penstock-token-counter",
        description="Own the tokens-per-minute and requests-per-minute quota that a fleet of workers shares.",
        epilog="Another command: penstock-token-counter key prints a new key for an app.",
    )
    add = parser.add_argument
    add("--config", metavar="FILE", help="pools.toml: pools, apps and their keys, instead of --pool, --tpm and --rpm")
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
    add("--headroom", type=float, help=f"share added to prompt estimates (default: {_HEADROOM})")
    add("--assume-idle", action="store_true", help="grant at once, instead of waiting one minute for what went before")
    add("--journal", metavar="DIR", help="directory in which grants are kept, so that a crash forgets none of them")
    add(
        "--store",
        metavar="URL",
        help="redis:// or rediss:// server, or redis-cluster:// cluster, in which several counters share their pools",
    )
    add("--store-entra", action="store_true", help="sign in at the store by Entra ID, as DefaultAzureCredential does")
    add("--insecure", action="store_true", help="allow an address that others can reach, without keys")
    add(
        "--requests-per-second",
        default=1000.0,
        type=float,
        metavar="N",
        help="requests of one caller: an app with a key, or an address but this machine's (default: %(default)g)",
    )
    add("--json", action="store_true", help="say where it listens as a line of JSON")
    add("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser


def _store(given: argparse.Namespace) -> str | None:
    """Check the store's URL, which is never repeated, because it may hold a password."""
    if given.store is None:
        if given.store_entra:
            raise UsageError("--store-entra says how to sign in at a store: give its address with --store")
        return None
    if given.journal is not None:
        raise UsageError("--store and --journal exclude each other: what a store keeps needs no journal")
    try:
        address(given.store)
    except ValueError as error:
        raise UsageError(f"--store {error}") from None
    url: str = given.store
    return url


def _configuration(given: argparse.Namespace) -> Configuration:
    """Read the file, or what the command line says instead."""
    if given.config is None:
        return Configuration(pools={name: PoolSettings(limits=limits) for name, limits in _pools(given).items()})
    if given.pool or any(option is not None for option in (given.tpm, given.rpm, given.headroom)):
        raise UsageError("--config says it all: leave --pool, --tpm, --rpm and --headroom out, or the file")
    return read_configuration(given.config)


def _pools(given: argparse.Namespace) -> dict[str, Limits]:
    """Collect the pools from ``--pool`` and from ``--tpm`` and ``--rpm``."""
    if (given.tpm is None) != (given.rpm is None):
        raise UsageError("--tpm and --rpm belong together: give both")
    headroom = _HEADROOM if given.headroom is None else given.headroom
    pools: dict[str, Limits] = {}
    if given.tpm is not None:
        pools[DEFAULT_POOL] = _limits("--tpm and --rpm", {"tpm": given.tpm, "rpm": given.rpm}, headroom)
    for text in given.pool:
        name, _, settings = text.partition(":")
        option = f"--pool {text}"
        if name in pools:
            raise UsageError(f"{option} gives pool {name!r} twice: give it once")
        try:
            pool_path(name)
        except ValueError as error:
            raise UsageError(f"{option} cannot be used: {error}") from None
        pools[name] = _limits(option, _settings(option, settings), headroom)
    if not pools:
        raise UsageError(
            "there is no pool to serve: give --tpm N --rpm N, or --pool NAME:tpm=N,rpm=N, or --config FILE"
        )
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
