"""Draw `docs/live-page.png`: a counter under load for two minutes, and its live page as Chromium shows it.

uv run --package penstock-token-counter --group test python packages/token-counter/scripts/live_page_picture.py
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import async_playwright

from penstock_token_client import Limits, Sharing, TokenClient
from penstock_token_counter import TokenCounter

PICTURE = Path(__file__).parents[1] / "docs" / "live-page.png"
SECONDS = 110
WORKERS = {"feedback": 14, "grading": 9, "summaries": 4}
LOWERED = {"x-ratelimit-limit-tokens": "50000", "retry-after-ms": "6000"}
LIMITS = Limits(tpm=60_000, rpm=600, window=20.0)


async def main() -> None:
    """Run the counter, its fleet and the browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium on PATH: install it")
    sharing = {"completion": Sharing(weights={"feedback": 2})}
    async with (
        TokenCounter({"completion": LIMITS}, assume_idle=True, sharing=sharing) as counter,
        AsyncExitStack() as stack,
    ):
        work = [worker(counter.url, app, number) for app, workers in WORKERS.items() for number in range(workers)]
        tasks = [asyncio.ensure_future(one) for one in (*work, refuse(counter.url))]
        stack.push_async_callback(asyncio.wait, tasks)
        for task in tasks:
            stack.callback(task.cancel)
        await asyncio.sleep(SECONDS)
        await draw(counter.url, chromium)


async def worker(url: str, app: str, number: int) -> None:
    """Do what a worker does, more of it as time goes by."""
    drawn = random.Random(f"{app}{number}")  # noqa: S311 - repeatable, not secret
    await asyncio.sleep(number * 2.5)
    async with TokenClient(app, url) as client:
        while True:
            async with client.reserve(drawn.randint(900, 2_600), max_tokens=400) as reservation:
                await asyncio.sleep(drawn.uniform(1, 4))
                await reservation.report(prompt_tokens=drawn.randint(400, 900), completion_tokens=150)


async def refuse(url: str) -> None:
    """Let Azure lower the limit."""
    await asyncio.sleep(SECONDS * 0.6)
    async with TokenClient("grading", url) as client, client.reserve(900) as reservation:
        await reservation.report(prompt_tokens=0, completion_tokens=0, headers=LOWERED, status="429")


async def draw(url: str, chromium: str) -> None:
    """Save the picture."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(viewport={"width": 880, "height": 900})
        await page.goto(url)
        await page.wait_for_selector("body[data-state=live]")
        await page.screenshot(path=PICTURE, full_page=True)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
