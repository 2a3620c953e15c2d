"""How pools stand, as text for a person: bars, who waits, and only what else is out of the ordinary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._standing import apps_by_need, limits_in_force

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_BAR = 24
_APPS = 10
_NAME = 24


def status_text(statuses: Iterable[Mapping[str, Any]], *, blocks: bool = True) -> str:
    """Return what to print.

    Args:
        statuses: What ``GET /status`` says of each pool.
        blocks: Draw bars with block characters instead of plain ones.
    """
    return "\n".join("".join(f"{line.rstrip()}\n" for line in _pool(status, blocks=blocks)) for status in statuses)


def _pool(status: Mapping[str, Any], *, blocks: bool) -> Iterator[str]:
    """Describe one pool."""
    tpm, rpm = limits_in_force(status)
    tokens = status["used_tokens"] + status["locked_tokens"]
    requests = max(0, rpm - status["available_requests"])
    used = int(100 * max(tokens / tpm, requests / rpm))  # full only when nothing is free
    in_flight = f"{status['locked_tokens']:,} in flight"
    yield f"{status['pool']}: {used} % of the window used, {_waiting(status)}"
    yield f"  tokens    {_bar(tokens / tpm, blocks=blocks)}  {tokens:,} of {tpm:,}, {in_flight}"
    yield f"  requests  {_bar(requests / rpm, blocks=blocks)}  {requests:,} of {rpm:,}"
    yield from _queue(status, blocks=blocks)
    yield from _remarks(status)


def _waiting(status: Mapping[str, Any]) -> str:
    """Say how many wait."""
    return f"{status['waiting']:,} waiting" if status["waiting"] else "nobody waiting"


def _queue(status: Mapping[str, Any], *, blocks: bool) -> Iterator[str]:
    """List the apps that wait, and how long the first of each did."""
    waiting = [(name, facts) for name, facts in apps_by_need(status) if facts["waiting"]]
    if not waiting:
        return
    most = waiting[0][1]["waiting"]
    names = [_cut(name) for name, _ in waiting[:_APPS]]
    width = max(map(len, names))
    for name, (_, facts) in zip(names, waiting, strict=False):
        bar = _bar(facts["waiting"] / most, blocks=blocks, track=False)
        yield f"    {name:<{width}}  {bar}  {facts['waiting']:,} waiting, {facts['oldest_wait_seconds']:.1f} s at most"
    if len(waiting) > _APPS:
        yield f"    and {len(waiting) - _APPS:,} more apps"


def _remarks(status: Mapping[str, Any]) -> Iterator[str]:
    """Say what an operator would want to be told."""
    if status["paused_seconds"] > 0:
        yield f"  paused    {status['paused_seconds']:.1f} s left, as a 429 asked"
    if limits_in_force(status) != (status["tpm"], status["rpm"]):
        yield f"  lowered   configured are {status['tpm']:,} tokens and {status['rpm']:,} requests a minute"
    if status["http_429"]:
        causes = ", ".join(f"{cause} {number:,}" for cause, number in status["http_429_by_cause"].items() if number)
        yield f"  429s      {status['http_429']:,} seen since the start ({causes})"
    if status["unaccounted_tokens"]:
        yield f"  others    {status['unaccounted_tokens']:,} tokens a window are used by who does not ask"
    if status["unreported"]:
        yield f"  silent    {status['unreported']:,} grants were never reported"
    if status["bias"] != 1:
        yield f"  estimates Azure counts prompts {status['bias']:.3f} times as large, which is corrected"


def _bar(share: float, *, blocks: bool, track: bool = True) -> str:
    """Draw a share; what is more than nothing is seen."""
    full, empty = ("█", "░") if blocks else ("#", "-")
    length = min(_BAR, max(round(share * _BAR), 1 if share > 0 else 0))
    return full * length + (empty if track else " ") * (_BAR - length)


def _cut(name: str) -> str:
    """Shorten a long name."""
    return name if len(name) <= _NAME else name[: _NAME - 3] + "..."
