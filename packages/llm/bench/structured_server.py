"""The endpoint of `structured_calls.py`: the same typed answer to everybody, at once or to a crowd together.

It does as little as it can, so that what is measured are its clients. It says its address on standard output and serves
until it is killed.
"""

import asyncio
import json
import time

from aiohttp import web

TOGETHER = 0.8
"""Seconds after the first request of a crowd at which all of them are answered."""

ANSWER = {
    "sentiment": "negative",
    "score": 2,
    "topics": ["delivery", "support"],
    "products": [{"name": "city bike", "price": 499.0}, {"name": "bell", "price": None}],
    "summary": "The delivery was late, and nobody answered the phone.",
}
TEXT = json.dumps(ANSWER)


class Crowd:
    """Requests that are answered at the same moment."""

    def __init__(self) -> None:
        self._release: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Wait for the moment, which the first one sets."""
        if self._release is None or self._release.done():
            self._release = asyncio.create_task(asyncio.sleep(TOGETHER))
        await asyncio.shield(self._release)


def completion(request: dict[str, object]) -> bytes:
    """Write the answer in the shape that was asked for."""
    message: dict[str, object] = {"role": "assistant", "content": TEXT, "refusal": None}
    reason = "stop"
    if isinstance(tools := request.get("tools"), list) and tools:
        function = {"name": tools[0]["function"]["name"], "arguments": TEXT}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
        reason = "tool_calls"
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "gpt-4o",
        "choices": [{"index": 0, "finish_reason": reason, "logprobs": None, "message": message}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 60, "total_tokens": 360},
    }
    return json.dumps(body).encode()


async def main() -> None:
    """Serve."""
    crowd = Crowd()

    async def answer(request: web.Request) -> web.Response:
        """Answer at once, or with the crowd if the path says so."""
        body = completion(await request.json())
        if request.path.startswith("/together"):
            await crowd.wait()
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
