"""The live page for people who use a keyboard, a screen reader, or eyes that need contrast."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import TokenCounter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="session")

POOLS = {name: Limits(tpm=10_000, rpm=600, headroom=0.0) for name in ("completion", "embedding")}
REFUSED = {"x-ratelimit-limit-tokens": "8000", "retry-after-ms": "90000"}
CONTRASTS = """() => {
  const luminance = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const seeThrough = (color) => /, 0\\)$/.test(color);
  const ground = (element) => {
    while (element && seeThrough(getComputedStyle(element).backgroundColor)) element = element.parentElement;
    return getComputedStyle(element ?? document.body).backgroundColor;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const speaks = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const texts = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && speaks(one));
  const lines = [...document.querySelectorAll("path.tokens-line, path.limit, path.refusals, .spark path")];
  return [
    ...texts.map((text) => [text.textContent, contrast(getComputedStyle(text).color, ground(text)), 4.5]),
    ...lines.map((line) => [line.className.baseVal, contrast(getComputedStyle(line).stroke, ground(line)), 3]),
  ];
}"""


@asynccontextmanager
async def counting() -> AsyncIterator[str]:
    """Run a counter whose every state shows."""
    async with TokenCounter(POOLS, assume_idle=True) as counter, TokenClient("feedback", counter.url) as client:
        async with client.reserve(4_000) as reservation:
            await reservation.report(prompt_tokens=0, completion_tokens=0, headers=REFUSED, status="429")
        yield counter.url


async def focused(page: Any) -> str:
    """Name what has the focus."""
    name: str = await page.evaluate(
        "() => document.activeElement.ariaLabel || document.activeElement.textContent.trim() || 'page'"
    )
    return name


async def test_everything_is_reached_and_worked_by_keys(open_page: Any) -> None:
    async with counting() as url:
        page = (await open_page(url)).page
        order = []
        for _ in range(9):
            await page.keyboard.press("Tab")
            order.append(await focused(page))
            assert await page.evaluate(
                "() => [document.activeElement, document.activeElement.parentElement]"
                ".some((element) => getComputedStyle(element).outlineStyle === 'solid')"
            )
        slider = page.get_by_role("slider").first
        await slider.focus()
        now = await slider.get_attribute("aria-valuetext")
        for _ in range(2):
            await page.keyboard.press("ArrowLeft")
        before = await page.locator("[data-field=readout]").first.text_content()
        at = await slider.input_value()
        cursor = await page.locator("path.cursor").first.get_attribute("d")
        await page.keyboard.press("Escape")
        back = await slider.input_value()
        table = page.locator(".numbers").first
        await table.locator("summary").press("Enter")
        await expect(table.locator("tbody tr").first).to_be_visible()

    assert order == [
        "Skip to the pools",
        "completion",
        "embedding",
        "Moment shown, in seconds before now",
        "Facts and queue",
        "The chart as a table",
        "Moment shown, in seconds before now",
        "Facts and queue",
        "The chart as a table",
    ]
    assert "of" in (now or "")
    assert (at, back) == ("-2", "0")
    assert before
    assert (cursor or "").startswith("M")


async def test_the_first_key_skips_to_the_pools(open_page: Any) -> None:
    async with counting() as url:
        page = (await open_page(url)).page
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")

        assert await page.evaluate("document.activeElement.id") == "pools"


async def test_a_screen_reader_finds_landmarks_headings_and_names(open_page: Any) -> None:
    async with counting() as url:
        page = (await open_page(url)).page
        for role, name in (
            ("navigation", "All pools"),
            ("region", "completion"),
            ("region", "embedding"),
            ("table", "Queue by app"),
            ("list", "State"),
            ("slider", "Moment shown, in seconds before now"),
        ):
            await expect(page.get_by_role(role, name=name).first).to_be_visible()
        await expect(page.get_by_role("main")).to_be_visible()
        await expect(page.get_by_role("status")).to_have_text("Live")
        await expect(page.locator("#announcements")).to_have_text("completion: paused, limit lowered")
        levels = await page.locator("h1, h2, h3").evaluate_all("all => all.map((heading) => heading.tagName)")
        unscoped = await page.locator("th:not([scope])").count()
        language = await page.locator("html").get_attribute("lang")

    assert levels == ["H1", "H2", "H2", "H2"]
    assert (unscoped, language) == (0, "en")


async def test_nothing_is_announced_again_and_again(open_page: Any) -> None:
    async with counting() as url:
        page = (await open_page(url)).page
        await expect(page.locator("#announcements")).to_have_text("completion: paused, limit lowered")
        await page.evaluate(
            """() => {
              window.changes = 0;
              const count = new MutationObserver((changes) => (window.changes += changes.length));
              for (const live of document.querySelectorAll("[aria-live], [role=status]"))
                count.observe(live, { childList: true, characterData: true, subtree: true });
            }"""
        )
        at = await page.locator("[data-field=readout]").first.text_content()
        for _ in range(2):
            await expect(page.locator("[data-field=readout]").first).not_to_have_text(at)
            at = await page.locator("[data-field=readout]").first.text_content()

        assert await page.evaluate("window.changes") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_stands_out_from_its_ground(open_page: Any, scheme: str) -> None:
    async with counting() as url:
        watched = await open_page(url, (1280, 900), scheme)
        await watched.page.locator(".numbers summary").first.click()
        live = await watched.page.evaluate(CONTRASTS)
    await watched.until_state("lost")
    lost = await watched.page.evaluate(CONTRASTS)

    assert len(live) > 60
    assert [found for found in live + lost if found[1] < found[2]] == []


async def test_what_is_touched_is_large_enough_and_nothing_moves_by_itself(open_page: Any) -> None:
    async with counting() as url:
        page = (await open_page(url, (360, 780))).page
        boxes = await page.locator("a:not(.skip), button:visible, summary, input").evaluate_all(
            "all => all.map((element) => [element.textContent, element.getBoundingClientRect().height])"
        )
        moving = await page.locator(".bar i").first.evaluate("bar => getComputedStyle(bar).transitionDuration")

    assert [box for box in boxes if box[1] < 24] == []
    assert moving == "0s"


async def test_samples_become_rates_and_minutes(open_page: Any) -> None:
    async with counting() as url:
        page = (await open_page(url)).page
        found = await page.evaluate(
            """async () => {
              const { extend, minutes, rates, span } = await import("/page/samples.js");
              const samples = (times, grants) => times.map((at) => ({ at, pools: { p: [grants] } }));
              const columns = ["grants"];
              const event = (counter, times, grants) => ({ counter, columns, samples: samples(times, grants) });
              const times = (known) => known.map((sample) => sample.at);
              const old = extend([], event("one", [1, 2, 3], 2), "p");
              const both = extend(old, event("two", [3, 4], 9), "p");
              const steady = extend([], event("one", [...Array(900).keys()], 3), "p");
              return {
                both: [times(both), both.map((sample) => sample.counter)],
                untouched: extend(old, event("one", [], 0), "p") === old,
                kept: [steady[0].at, steady.at(-1).at],
                rates: [rates(steady)[0], rates(steady)[5], rates(steady).at(-1)],
                span: [span(old), span(steady)],
                minutes: minutes(steady).map(([at, within]) => [at, within.length]).slice(0, 2),
              };
            }"""
        )

    assert found == {
        "both": [[1, 2, 3, 4], ["one", "one", "two", "two"]],
        "untouched": True,
        "kept": [300, 899],
        "rates": [0, 3, 3],
        "span": [60, 600],
        "minutes": [[840, 60], [780, 60]],
    }
