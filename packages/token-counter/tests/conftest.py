"""A headless Chromium, and what its pages did."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Literal

    from playwright.async_api import Browser, Page

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Watched:
    """A page, and what it complained of and asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    async def text(self, selector: str) -> str:
        return (await self.page.locator(selector).text_content() or "").strip()

    async def until_state(self, state: str) -> None:
        await self.page.wait_for_selector(f"body[data-state={state}]", timeout=30_000)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Find a browser; a test that CI silently leaves out is worth nothing."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        missing = f"needs one of {', '.join(_NAMES)} on PATH"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """Start one browser for all tests, which therefore share its event loop."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[Callable[..., Awaitable[Watched]]]:
    """Open pages of a browser that remembers nothing, and wait until they are live."""
    contexts = []

    async def opened(
        url: str, size: tuple[int, int] = (1280, 900), scheme: Literal["light", "dark"] = "light"
    ) -> Watched:
        width, height = size
        context = await browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        watched = Watched(await context.new_page())
        await watched.page.goto(url)
        await watched.until_state("live")
        return watched

    yield opened
    for context in contexts:
        await context.close()
