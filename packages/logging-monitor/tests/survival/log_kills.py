"""A harness that kills: writers and monitors die at random moments, often at the worst ones, and are started again.

Run as a program with `Settings` as JSON. When its time is up every process is dead; a last monitor clears up, and what
was done is printed as JSON. Processes are forked from this one, which is what makes thousands of them affordable.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

from log_lives import Settings, ship, write
from log_mutants import plant

if TYPE_CHECKING:
    from collections.abc import Callable

WRITERS = 20
MONITORS = 4
MONITOR_KILLS = 0.1  # of those of writers

_CLONE_NEWUSER, _CLONE_NEWPID, _PR_SET_PDEATHSIG = 0x10000000, 0x20000000, 1


def main(settings: Settings) -> dict[str, float]:
    """Let them live and die until it is enough, then clear up."""
    settings.acknowledged.mkdir(parents=True)
    plant(settings.mutant)
    rng = random.Random(settings.seed)
    fleet = Fleet(settings, rng)
    end = time.monotonic() + settings.seconds
    while time.monotonic() < end or fleet.started["writer"] < settings.writers or fleet.kills < settings.victims:
        fleet.keep_up()
        time.sleep(rng.expovariate(settings.kills * (1 + MONITOR_KILLS)))
        fleet.kill_one()
    fleet.end()
    ended = time.monotonic()
    asyncio.run(clear_up(settings))
    return {**fleet.started, "kills": fleet.kills, "clearing_up": round(time.monotonic() - ended, 3)}


async def clear_up(settings: Settings) -> None:
    """Ship what is left, with a monitor that nobody kills."""
    service = settings.monitor()
    await service.initialize()
    await service.shutdown(settings.clearing_up)


class Fleet:
    """The processes that are alive now."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._alive: dict[tuple[str, int], int] = {}
        self._all_gone, self._somebody_lives = os.pipe()
        self.started = {"writer": 0, "monitor": 0}
        self.kills = 0

    def keep_up(self) -> None:
        """Start whoever died, by our hand or its own."""
        for slot, pid in list(self._alive.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del self._alive[slot]
        for slot in [("writer", n) for n in range(WRITERS)] + [("monitor", n) for n in range(MONITORS)]:
            if slot not in self._alive:
                self._alive[slot] = self._start(*slot)

    def kill_one(self) -> None:
        """Kill a writer, or now and then a monitor."""
        kind = self._rng.choices(["writer", "monitor"], [1, MONITOR_KILLS])[0]
        os.kill(self._rng.choice([pid for (is_kind, _), pid in self._alive.items() if is_kind == kind]), signal.SIGKILL)
        self.kills += 1

    def end(self) -> None:
        """Kill all, and wait until their children have ended too."""
        for pid in self._alive.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(self._somebody_lives)
        os.read(self._all_gone, 1)  # the end of a pipe whose other end every process has inherited

    def _start(self, kind: str, slot: int) -> int:
        self.started[kind] += 1
        number, name, rng = self.started[kind], self._name_for(slot), random.Random(self._rng.getrandbits(64))
        if kind == "monitor":
            return fork(lambda: ship(self._settings, rng), in_namespace=self._settings.namespaces)
        return fork(lambda: write(self._settings, str(number), name, rng), in_namespace=self._settings.namespaces)

    def _name_for(self, slot: int) -> str:
        """Choose the name of its dead predecessor, of somebody who may be alive, or a new one."""
        chance = self._rng.random()
        if chance < 0.4:
            return f"slot-{slot}"
        return f"slot-{self._rng.randrange(WRITERS)}" if chance < 0.5 else f"new-{self.started['writer']}"


def fork(life: Callable[[], None], *, in_namespace: bool) -> int:
    """Start a process; return the id by which it can be killed."""
    pid = os.fork()
    if pid:
        return pid
    try:
        if in_namespace:
            become_first_of_a_namespace()
        os.nice(10)  # who kills is not to wait for those who are killed
        life()
    finally:
        os._exit(1)


def become_first_of_a_namespace() -> None:
    """Go on as process 1 of a pid namespace; the process that was called stays outside, and whoever kills it kills us.

    Raises:
        PermissionError: It is not allowed here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWPID):
        raise PermissionError(ctypes.get_errno(), "unshare")
    ours, theirs = os.pipe()
    first = os.fork()
    if first:
        os.close(ours)
        os.waitpid(first, 0)
        os._exit(0)
    os.close(theirs)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if select.select([ours], [], [], 0)[0]:  # the end: whoever was outside is dead already
        os._exit(0)
    os.close(ours)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Settings(**json.loads(sys.argv[1])))))
