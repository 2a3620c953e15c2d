"""The command ``serve``: listen, say where, and stop in good order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from ._counter import TokenCounter
from ._neighbours import serving
from ._options import Options, read_options
from ._records import JournalError
from ._usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from azure.identity.aio import DefaultAzureCredential

    from ._store_identity import StoreCredential


def run(arguments: Sequence[str]) -> int:
    """Serve until a signal, or the end of standard input, says stop.

    Raises:
        UsageError: It cannot serve as it is told to.
    """
    asyncio.run(_serve(read_options(arguments)))
    return 0


async def _serve(options: Options) -> None:
    """Serve until a signal, or the end of standard input, says stop."""
    stop = asyncio.Event()
    _stop_on_signals(stop)
    async with contextlib.AsyncExitStack() as stack:
        credential = await stack.enter_async_context(default_credential()) if options.store_entra else None
        counter = counter_of(options, credential)
        try:
            await stack.enter_async_context(counter)
        except OSError as error:
            raise UsageError(_cannot_listen(options, error)) from None
        except JournalError as error:
            raise UsageError(f"--journal {options.journal} cannot be used: {error}") from None
        _collect_garbage_seldom()
        if options.store is None and not options.stop_with_stdin:  # whose parent knows what it is for
            _warn_of(stack.enter_context(serving(options.pools)))
        _announce(counter.url, options)
        if options.stop_with_stdin:
            _stop_with_stdin(stop)
        await stop.wait()


def _collect_garbage_seldom() -> None:
    """Let the collector look more seldom, and not at all at what is here by now.

    Grants live for a minute and hold no cycles: looking through a full window again and again finds nothing, and takes
    a twentieth of what a `/lock` costs.
    """
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)


def default_credential() -> DefaultAzureCredential:
    """Return a credential that takes what it finds: a managed identity, the environment, whoever signed in here.

    Raises:
        UsageError: The extra is not installed.
    """
    try:
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - belongs to an extra
    except ImportError:
        raise UsageError('--store-entra needs the extra: pip install "penstock-token-counter[azure,redis]"') from None
    return DefaultAzureCredential()


def counter_of(options: Options, credential: StoreCredential | None = None) -> TokenCounter:
    """Return the counter that the options describe, with what signs it in at its store."""
    pools, access = options.configuration.pools, options.configuration.access
    try:
        return TokenCounter(
            options.pools,
            host=options.host,
            port=options.port,
            assume_idle=options.assume_idle,
            sharing={name: pool.sharing for name, pool in pools.items()},
            journal=options.journal,
            store=options.store,
            store_credential=credential,
            deployments={name: pool.deployment for name, pool in pools.items() if pool.deployment is not None},
            access=access,
            insecure=options.insecure,
            requests_per_second=options.requests_per_second,
        )
    except ImportError as error:
        raise UsageError(str(error)) from None


def _warn_of(pools: Sequence[str]) -> None:
    """Say in one sentence that another counter has pools of the same names, if one has."""
    if pools:
        sys.stderr.write(
            f"penstock-token-counter: another counter on this machine serves {', '.join(pools)} too: if that is the "
            "same deployment, its quota is handed out twice, so stop one of them, or give both the same --store.\n"
        )


def _announce(url: str, options: Options) -> None:
    """Say where it listens."""
    if options.json:
        line = json.dumps({"v": 1, "url": url, "pools": list(options.pools)})
    else:
        unknown = "without a journal" if options.journal is None else "if its journal is new"
        unknown = unknown if options.store is None else "if the store knows nothing of it"
        full = f"; {unknown}, nothing is granted for the first minute (--assume-idle grants at once)"
        start = "" if options.assume_idle else full
        line = f"token counter for {', '.join(options.pools)} at {url}{start}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _stop_on_signals(stop: asyncio.Event) -> None:
    """Stop on Ctrl-C and on termination."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))


def _stop_with_stdin(stop: asyncio.Event) -> None:
    """Stop when standard input ends; a thread waits for it, because files and terminals cannot be polled."""
    loop = asyncio.get_running_loop()

    def wait_for_the_end() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()


def _cannot_listen(options: Options, error: OSError) -> str:
    """Say why the address is not to be had, and what to do."""
    where = f"port {options.port} on {options.host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop what listens there, or give another --port (0 takes a free one)."
    return f"cannot listen on {where} ({error.strerror or error}): give another --host or --port"
