"""A crowd of callers in processes of their own, which are all gone afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

_SCRIPT = Path(__file__).with_name("waiting_callers.py")


@asynccontextmanager
async def calling(
    facts: Mapping[str, Any], listen: Callable[[asyncio.subprocess.Process], Awaitable[None]]
) -> AsyncIterator[None]:
    """Have a crowd of processes wait as the facts say, and have somebody listen to what they are granted."""
    callers = await asyncio.create_subprocess_exec(
        *(sys.executable, str(_SCRIPT), json.dumps(facts)),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    listening = asyncio.ensure_future(listen(callers))
    try:
        yield
    finally:
        os.killpg(callers.pid, signal.SIGKILL)
        await callers.wait()
        await listening
