"""The wish of the person at the terminal to end a run: the first signal drains, the second one ends at once."""

import asyncio
import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Listens for Ctrl-C and SIGTERM on the running loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for name in SIGNALS:
            self._loop.add_signal_handler(name, self._ask)

    @property
    def asked(self) -> bool:
        """Whether the run is to end."""
        return self._asked.is_set()

    async def sleep(self, seconds: float) -> None:
        """Wait some seconds, or until the run is to end."""
        try:
            await asyncio.wait_for(self._asked.wait(), seconds)
        except TimeoutError:
            return

    def _ask(self) -> None:
        """Take the first signal; from now on signals do what they do by default."""
        self._asked.set()
        for name in SIGNALS:
            self._loop.remove_signal_handler(name)
