"""The peer of `lock_http.py`: an aiohttp handler that decodes a JSON body and answers JSON of the counter's size.

Written as aiohttp's documentation has it ("Web Server Quickstart": ``data = await request.json()`` and
``return web.json_response(data)``), and without access logs, as its "Server Deployment" advises for speed ("By default
aiohttp uses own default log format … you may want to disable it": ``access_log=None``).
"""

import argparse
import asyncio
import json

from aiohttp import web

GRANT = "00c0ffee-123456"
LOCKED = {
    "v": 1,
    "allowed": True,
    "expires_at": 1790000000.123,
    "request_id": f"token_{GRANT}:rate_{GRANT}",
    "rate_request_id": f"rate_{GRANT}",
}
REPORTED = {"v": 1, "success": True, "known": True}


async def lock(request: web.Request) -> web.Response:
    """Answer as `/lock` does."""
    await request.json()
    return web.json_response(LOCKED)


async def report(request: web.Request) -> web.Response:
    """Answer as `/report` does."""
    await request.json()
    return web.json_response(REPORTED)


async def serve() -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_post("/lock", lock)
    app.router.add_post("/report", report)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"v": 1, "url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    asyncio.run(serve())
