"""The load of `lock_http.py`: a process of its own that keeps servers busy in turn, and reads every answer.

An aiohttp client costs more than twice what the server it asks costs, so this one is raw: each connection is a protocol
that sends its next request when the answer to the last is there and right. The requests are those of a `TokenClient`.
The servers take turns several times a second, so that whatever else the machine does meets all of them alike.

    python lock_load.py lock|pairs URL... [--seconds S]
"""

import argparse
import asyncio
import itertools
import json
import time
from typing import Any, cast
from urllib.parse import urlsplit

from penstock_token_client.protocol import LockRequest, ReportRequest

CONNECTIONS = 100
TURN = 0.2
"""Seconds for which one server is loaded before the next."""

_KEY, _ID, _RATE = "0" * 32, "token_0-0:rate_0-0", "rate_0-0"
_WISH = LockRequest(app_id="feedback", token_count=1200, max_tokens=400, wait_seconds=60.0, idempotency_key=_KEY)
_USE = ReportRequest(app_id="feedback", request_id=_ID, prompt_tokens=780, completion_tokens=150)
_LOCK, _REPORT = json.dumps(_WISH.to_json()), json.dumps(_USE.to_json())
_keys = itertools.count(1)


class WrongAnswerError(Exception):
    """Raised for an answer that is not the one that was measured for; the run is void."""


class Crowd:
    """The connections to one server.

    Args:
        url: The server.
        pairs: Report each lock.

    Attributes:
        answered: Calls, or pairs of calls, answered while this server had its turn.
        seconds: The length of its turns.
        granted: Locks, all in all.
        ids: The ids of the locks.
    """

    def __init__(self, url: str, *, pairs: bool) -> None:
        address = urlsplit(url)
        self._host, self._port = str(address.hostname), int(address.port or 80)
        self.netloc = address.netloc
        self.pairs = pairs
        self.answered = self.granted = 0
        self.seconds = 0.0
        self.ids: set[str] = set()
        self.running = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._callers: list[Caller] = []

    async def connect(self) -> None:
        """Open the connections."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, caller = await loop.create_connection(lambda: Caller(self), self._host, self._port)
            self._callers.append(caller)

    async def take_turn(self) -> None:
        """Keep the server busy for a while, and until it has answered, then let it come to rest."""
        began, before = time.perf_counter(), self.answered
        self.running = True
        for caller in self._callers:
            caller.lock()
        while self.answered == before and not self.failed.done():
            await asyncio.wait([self.failed], timeout=TURN)
        self.seconds += time.perf_counter() - began
        answered = self.answered - before
        self.running = False
        async with asyncio.timeout(30):
            while any(caller.busy for caller in self._callers) and not self.failed.done():
                await asyncio.sleep(0.001)
        self.answered = before + answered
        if self.failed.done():
            self.failed.result()

    def fail(self, error: Exception) -> None:
        """Stop the run."""
        if not self.failed.done():
            self.failed.set_exception(error)


class Caller(asyncio.Protocol):
    """One connection: asks for a lock, reports it if told to, and begins anew while its crowd runs."""

    def __init__(self, crowd: Crowd) -> None:
        self.busy = False
        self._crowd = crowd
        self._head = (
            f"Host: {crowd.netloc}\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
            "User-Agent: lock_load\r\nContent-Type: application/json\r\n"
        )
        self._locking = True
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the run: whoever measures keeps its connections."""
        self._crowd.fail(exc or WrongAnswerError("the server closed a connection"))

    def data_received(self, data: bytes) -> None:
        """Gather one answer, and go on with it when it is whole."""
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        self._buffer = b""
        try:
            self._take(head, json.loads(body))
        except (ValueError, KeyError, WrongAnswerError) as error:
            self._crowd.fail(error)

    def lock(self) -> None:
        """Ask for a lock, under a key of its own."""
        self.busy = self._locking = True
        self._send("/lock", _LOCK.replace(_KEY, f"{next(_keys):032x}"))

    def _take(self, head: bytes, answer: dict[str, Any]) -> None:
        """Check and count one answer, and send what comes next."""
        if not head.startswith(b"HTTP/1.1 200 "):
            raise WrongAnswerError(f"{head.decode()}: {answer}")
        if self._locking:
            self._take_lock(answer)
        elif answer["known"] is not True:
            raise WrongAnswerError(f"a lock is forgotten before it is reported: {answer}")
        else:
            self._go_on()

    def _take_lock(self, answer: dict[str, Any]) -> None:
        """Check one grant."""
        if answer["allowed"] is not True:
            raise WrongAnswerError(f"a lock is not granted: {answer}")
        self._crowd.granted += 1
        self._crowd.ids.add(answer["request_id"])
        if self._crowd.pairs:
            self._locking = False
            self._send("/report", _REPORT.replace(_ID, answer["request_id"]).replace(_RATE, answer["rate_request_id"]))
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Count, and begin anew if the turn is not over."""
        self._crowd.answered += 1
        self.busy = False
        if self._crowd.running:
            self.lock()

    def _send(self, path: str, body: str) -> None:
        """Send one request, head and body at once."""
        if self._transport is not None and not self._crowd.failed.done():
            self._transport.write(
                f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )


def _content_length(head: bytes) -> int:
    """Return the length that a head announces; an answer without one is void."""
    _, separator, rest = head.lower().partition(b"content-length:")
    if not separator:
        raise WrongAnswerError("an answer has no Content-Length")
    return int(rest.partition(b"\r\n")[0])


async def load(urls: list[str], *, pairs: bool, seconds: float) -> list[dict[str, Any]]:
    """Keep servers busy in turn, and return how many calls, or pairs of calls, each answered a second."""
    crowds = [Crowd(url, pairs=pairs) for url in urls]
    for crowd in crowds:
        await crowd.connect()
        await crowd.take_turn()  # the first is not measured
        crowd.answered, crowd.seconds = 0, 0.0
    for _ in range(max(1, round(seconds / TURN))):
        for crowd in crowds:
            await crowd.take_turn()
    for crowd in crowds:
        crowd.failed.cancel()
    return [
        {"rate": crowd.answered / crowd.seconds, "granted": crowd.granted, "ids": len(crowd.ids)} for crowd in crowds
    ]


def main() -> None:
    """Load the servers, and say how it went: one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("calls", choices=("lock", "pairs"))
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    for result in asyncio.run(load(options.urls, pairs=options.calls == "pairs", seconds=options.seconds)):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
