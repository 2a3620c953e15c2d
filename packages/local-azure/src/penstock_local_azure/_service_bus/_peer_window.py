"""What the peer's session window lets through: transfers beyond it are held back until it opens."""

from collections import deque
from collections.abc import Callable

from ._performatives import Flow


class PeerWindow:
    """Numbers transfers, and sends as many as the peer has room for.

    Args:
        first: The number of the first transfer.
        size: How many the peer takes before it says more.
        send: Sends one transfer's body.
    """

    def __init__(self, first: int, size: int, send: Callable[[bytes], None]) -> None:
        self._first = first
        self._size = size
        self._send = send
        self._held_back: deque[bytes] = deque()
        self.next = first
        """The number of the next transfer."""

    @property
    def is_open(self) -> bool:
        """Whether the next transfer would go out at once."""
        return self._size > 0 and not self._held_back

    def transmit(self, body: bytes) -> None:
        """Send a transfer, or hold it back."""
        if self._size > 0:
            self._size -= 1
            self.next += 1
            self._send(body)
        else:
            self._held_back.append(body)

    def on_flow(self, flow: Flow) -> None:
        """Take in what the peer has seen and has room for, and send what was held back."""
        seen = self._first if flow.next_incoming_id is None else flow.next_incoming_id
        self._size = seen + flow.incoming_window - self.next
        while self._held_back and self._size > 0:
            self.transmit(self._held_back.popleft())
