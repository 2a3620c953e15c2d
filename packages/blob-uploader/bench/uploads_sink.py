"""The storage account of `uploads.py`, in a process of its own: it takes what it is sent, and keeps the account.

It prints its port. Each line it reads, `{"delay": s, "keep": true}`, begins a new account: every answer takes so long,
and bodies are kept or dropped. It answers with the account that ends: by blob, how many bytes came, the SHA-256 that
its metadata states and, if bodies were kept, the one they have. It looks at no signature: all clients sign alike.
"""

import asyncio
import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ROOM = 1024 * 1024
"""Bytes that one reading from a socket may bring."""
HEAD_END = b"\r\n\r\n"
BLOCK_ID = re.compile(rb"<(?:Latest|Uncommitted)>([^<]+)<")
NOTHING_LISTED = (
    b'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs /><NextMarker /></EnumerationResults>'
)


@dataclass
class Body:
    """What came with a request."""

    length: int = 0
    parts: list[bytes] = field(default_factory=list)


@dataclass
class Request:
    """The head of a request, understood as far as it matters here."""

    method: str
    blob: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    @classmethod
    def of(cls, head: bytes) -> "Request":
        """Read a head."""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        url = urlsplit(target)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        blob = unquote(url.path).split("/", 3)[3:]  # after account and container
        return cls(method, "".join(blob), parse_qs(url.query), headers)

    @property
    def operation(self) -> str:
        """What is asked for: a `comp`, or nothing for a whole blob."""
        return self.query.get("comp", [""])[0]


@dataclass
class Account:
    """What has arrived."""

    keep: bool = False
    delay: float = 0.0
    staged: dict[tuple[str, str], Body] = field(default_factory=dict)
    blobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, request: Request, body: Body) -> tuple[str, bytes]:
        """Do as asked; return status and content of the answer."""
        match request.method, request.operation:
            case "PUT", "block":
                self.staged[request.blob, request.query["blockid"][0]] = body
            case "PUT", "blocklist":
                self._commit(request, [self._taken(request.blob, name) for name in BLOCK_ID.findall(joined(body))])
            case "PUT", "" if request.blob:
                self._commit(request, [body])
            case "GET", "list":
                return "200 OK", NOTHING_LISTED
            case "HEAD", "" if request.blob not in self.blobs:
                return "404 The specified blob does not exist.", b""
            case "HEAD", "":
                return "200 OK", b""
            case _:
                return "400 Not offered here", b""
        return "201 Created", b""

    def lines(self) -> dict[str, Any]:
        """Return what has arrived, for JSON."""
        return {"blobs": self.blobs, "staged": len(self.staged)}

    def _taken(self, blob: str, name: bytes) -> Body:
        """Take a block that was staged."""
        return self.staged.pop((blob, name.decode()))

    def _commit(self, request: Request, bodies: list[Body]) -> None:
        """A blob is whole; that it is there already shows in its number of commits."""
        commits = self.blobs.get(request.blob, {}).get("commits", 0)
        self.blobs[request.blob] = {
            "bytes": sum(body.length for body in bodies),
            "stated": request.headers.get("x-ms-meta-sha256"),
            "sha256": hashlib.sha256(b"".join(map(joined, bodies))).hexdigest() if self.keep else None,
            "commits": commits + 1,
        }


def joined(body: Body) -> bytes:
    """Return a body that was kept."""
    return b"".join(body.parts)


class Connection(asyncio.BufferedProtocol):
    """One connection: heads are parsed, bodies are counted where they land, without another copy."""

    def __init__(self, account: Callable[[], Account]) -> None:
        self._account = account
        self._buffer = bytearray(ROOM)
        self._head = b""
        self._request: Request | None = None
        self._body = Body()
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self._transport: Any = transport

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - the interface's
        """Lend the buffer."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came; clients wait for an answer before they ask again."""
        data = memoryview(self._buffer)[:nbytes]
        if self._request is None:
            self._head += data
            head, end, rest = self._head.partition(HEAD_END)
            if not end:
                return
            self._begin(Request.of(head))
            data = memoryview(rest)
        self._missing -= len(data)
        self._body.length += len(data)
        if data and (self._account().keep or (self._request and self._request.operation == "blocklist")):
            self._body.parts.append(bytes(data))
        if self._missing == 0:
            self._answer()

    def _begin(self, request: Request) -> None:
        """Expect a body."""
        self._request, self._body, self._head = request, Body(), b""
        self._missing = int(request.headers.get("content-length", 0))
        if request.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _answer(self) -> None:
        """The request is complete."""
        request, body, account = self._request, self._body, self._account()
        self._request = None
        if request is not None:
            answer = self._said(request, *account.take(request, body), account.blobs.get(request.blob, {}))
            asyncio.get_running_loop().call_later(account.delay, self._transport.write, answer)

    @staticmethod
    def _said(request: Request, status: str, content: bytes, blob: dict[str, Any]) -> bytes:
        """Write an answer, as the service does."""
        length = blob.get("bytes", 0) if request.method == "HEAD" else len(content)
        now = formatdate(usegmt=True)
        fields = {
            "Content-Length": length,
            "Content-Type": "application/xml",
            "ETag": '"0x8DF000000000000"',
            "Last-Modified": now,
            "Date": now,
            "Server": "Sink",
            "x-ms-blob-type": "BlockBlob",
            "x-ms-request-id": "00000000-0000-0000-0000-000000000000",
            "x-ms-request-server-encrypted": "true",
            "x-ms-version": request.headers.get("x-ms-version", "2026-10-06"),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + content


async def main() -> None:
    """Serve until standard input ends."""
    account = Account()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(lambda: account), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        ended, account = account, Account(**json.loads(line))
        print(json.dumps(ended.lines()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
