"""What a status says, picked out for those who show it: the limits in force, and the apps that matter most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_APPS_SHOWN = 50
"""A page with more apps than that is no page any more."""


def limits_in_force(status: Mapping[str, Any]) -> tuple[int, int]:
    """Return the tokens and the requests per minute that count now, which Azure or others' use may have lowered."""
    return status["effective_tpm"], status["effective_rpm"]


def apps_by_need(status: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the apps of a pool and what is known of each, those with the most callers waiting first."""
    return sorted(status["apps"].items(), key=_need)


def brief(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return a status of bounded size: the apps that matter most as a list, and how many there are."""
    apps = apps_by_need(status)
    facts = {name: value for name, value in status.items() if name not in ("queue", "apps", "suggested_max_tokens")}
    shown = [{"app": name, **known} for name, known in apps[:_APPS_SHOWN]]
    return {**facts, "apps": shown, "apps_total": len(apps)}


def _need(app: tuple[str, dict[str, Any]]) -> tuple[int, int, str]:
    """Return what puts an app before others."""
    name, facts = app
    return -facts["waiting"], -facts["granted_tokens"], name
