"""``GET /metrics``: how the pools stand, in Prometheus' words, read from the desks at the moment of the scrape."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ._journal import JOURNAL_STATES
from ._store_facts import STORE_STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from ._answers import Handler
    from ._desk import Desk

    Statuses = Mapping[str, Mapping[str, Any]]
    Family = GaugeMetricFamily | CounterMetricFamily
    Samples = Iterable[tuple[tuple[str, ...], float]]

_GAUGES = {
    "tpm": ("limit_tokens", "Tokens per minute that the pool is configured for."),
    "rpm": ("limit_requests", "Requests per minute that the pool is configured for."),
    "effective_tpm": ("effective_limit_tokens", "Tokens per minute in force, as Azure's answers say."),
    "effective_rpm": ("effective_limit_requests", "Requests per minute in force, as Azure's answers say."),
    "available_tokens": ("available_tokens", "Tokens of the window that are free."),
    "used_tokens": ("used_tokens", "Tokens charged in the window whose use was reported."),
    "locked_tokens": ("locked_tokens", "Tokens charged in the window whose use was not reported yet."),
    "available_requests": ("available_requests", "Requests of the window that are free."),
    "paused_seconds": ("paused_seconds", "Seconds for which Azure asked the pool to pause."),
    "bias": ("estimate_bias", "Azure's prompt estimates over the callers'; 1 if they agree."),
    "unaccounted_tokens": ("unaccounted_tokens", "Tokens in the window that went to Azure unasked."),
}
"""The gauges of a pool, by the field of its status."""

_COUNTERS = {
    "granted": ("granted", "Grants given."),
    "refused": ("refused", "Locks refused for good, because they can never fit."),
    "unreported": ("unreported", "Grants that aged out without a report or a release."),
    "foreign_ids": ("foreign_ids", "Reports and releases of grants that another counter gave."),
}
"""The counters of a pool, since the counter's start."""

_APP_GAUGES = {
    "waiting": ("waiting", "Callers that wait."),
    "oldest_wait_seconds": ("oldest_wait_seconds", "Seconds for which the longest of them has waited."),
}
_APP_COUNTERS = {
    "granted": ("app_granted", "Grants given to the app."),
    "granted_tokens": ("app_granted_tokens", "Tokens granted to the app."),
}

_STATES = {"journal": JOURNAL_STATES, "store": STORE_STATES}


class Quota(Collector):
    """Reads the desks; the labels are pools, and at most as many apps as a status names.

    Args:
        desks: The desk of each pool.
    """

    def __init__(self, desks: Mapping[str, Desk]) -> None:
        self._desks = desks

    def collect(self) -> Iterator[Metric]:
        """Return every metric."""
        statuses = {pool: desk.status() for pool, desk in self._desks.items()}
        yield InfoMetricFamily(
            "penstock_quota_build", "The counter's version.", value={"version": version("penstock-token-counter")}
        )
        for field, (name, text) in _GAUGES.items():
            yield _filled(GaugeMetricFamily, name, text, ("pool",), _of_pools(statuses, field))
        for field, (name, text) in _COUNTERS.items():
            yield _filled(CounterMetricFamily, name, text, ("pool",), _of_pools(statuses, field))
        for field, (name, text) in _APP_GAUGES.items():
            yield _filled(GaugeMetricFamily, name, text, ("pool", "app"), _of_apps(statuses, field))
        for field, (name, text) in _APP_COUNTERS.items():
            yield _filled(CounterMetricFamily, name, text, ("pool", "app"), _of_apps(statuses, field))
        text = "Answers 429 of Azure that were reported."
        yield _filled(CounterMetricFamily, "http_429", text, ("pool", "cause"), _causes(statuses))
        text = "1 for the state that the journal is in."
        yield _filled(GaugeMetricFamily, "journal_state", text, ("pool", "state"), _states(statuses, "journal"))
        text = "1 for the state that the store is in."
        yield _filled(GaugeMetricFamily, "store_state", text, ("pool", "state"), _states(statuses, "store"))


def metrics(desks: Mapping[str, Desk]) -> Handler:
    """Serve ``GET /metrics``, in the format that the scraper prefers."""
    registry = CollectorRegistry()
    registry.register(Quota(desks))

    async def metrics(request: web.Request) -> web.StreamResponse:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return metrics


def _filled(family: type[Family], name: str, text: str, labels: Sequence[str], samples: Samples) -> Family:
    """Return a metric with its samples."""
    metric = family(f"penstock_quota_{name}", text, labels=labels)
    for values, value in samples:
        metric.add_metric(values, value)
    return metric


def _of_pools(statuses: Statuses, field: str) -> Samples:
    """Return a field of each pool's status."""
    return [((pool,), status[field]) for pool, status in statuses.items()]


def _of_apps(statuses: Statuses, field: str) -> Samples:
    """Return a field of each app in each pool's status."""
    return [((pool, app), facts[field]) for pool, status in statuses.items() for app, facts in status["apps"].items()]


def _causes(statuses: Statuses) -> Samples:
    """Return the answers 429 of each pool by cause."""
    return [
        ((pool, cause), count)
        for pool, status in statuses.items()
        for cause, count in status["http_429_by_cause"].items()
    ]


def _states(statuses: Statuses, field: str) -> Samples:
    """Return whether what keeps each pool is in a state, for each state."""
    return [((pool, state), status[field] == state) for pool, status in statuses.items() for state in _STATES[field]]
