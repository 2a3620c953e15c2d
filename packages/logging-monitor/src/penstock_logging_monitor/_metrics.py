"""``GET /metrics`` on loopback: how a monitor stands, in Prometheus' words, read at the moment of the scrape."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock_logging_monitor._errors import LogMonitorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

    from penstock_logging_monitor._statistics import MonitorStatistics

_HOST = "127.0.0.1"

_GAUGES = {
    "waiting": ("waiting_files", "Files that are ready for the archive."),
    "waiting_bytes": ("waiting_bytes", "Bytes of the files that are ready for the archive."),
    "live": ("live_files", "Files that somebody writes, or another monitor is at work on."),
    "kept": ("kept_files", "Complete files that stay because there is no archive."),
    "refused": ("refused_files", "Files among the waiting that the archive refuses for good."),
    "quarantined": ("quarantined_files", "Files that were put aside and that somebody must look at."),
    "unreadable": ("unreadable_files", "Files that the monitor may not open."),
    "foreign": ("foreign_files", "Log files that do not start with a header."),
    "other_hosts": ("other_hosts_files", "Files that another host's monitor looks after."),
}
"""The gauges, by the field of the statistics."""

_UPLOADS = ("created", "same", "conflicts", "copied", "failed")
_COUNTERS = {
    "scans": ("scans", "Looks at the directory."),
    "adopted": ("adopted_files", "Files of dead writers that were closed for them."),
    "torn": ("torn_files", "Files that were shipped with a last line that has no end."),
    "removed": ("removed_files", "Files without a record that were removed."),
    "expired": ("expired_files", "Files that were here for as long as they were to."),
    "dropped": ("dropped_files", "Files that were removed, unshipped, because the directory was full."),
    "dropped_bytes": ("dropped_bytes", "Bytes of the files that were dropped."),
}
"""The counters, by the field of the statistics."""


class MonitorMetrics:
    """Reads a monitor's statistics; a collector, as prometheus_client calls it.

    Args:
        statistics: Returns them as they are now.
        clock: Epoch seconds.
    """

    def __init__(self, statistics: Callable[[], MonitorStatistics], clock: Callable[[], float] = time.time) -> None:
        self._statistics = statistics
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Return every metric; first for how long the oldest file has been ready for the archive."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415  # an extra's

        seen = self._statistics()
        text = "Seconds since the last line of the oldest file that is ready for the archive; 0 if none is."
        age = seen.oldest_unshipped_age(self._clock())
        yield GaugeMetricFamily("penstock_logs_oldest_unshipped_age_seconds", text, value=age)
        for field, (name, text) in _GAUGES.items():
            yield GaugeMetricFamily(f"penstock_logs_{name}", text, value=getattr(seen, field))
        uploads = CounterMetricFamily("penstock_logs_uploads", "Files by what became of them.", labels=("outcome",))
        for outcome in _UPLOADS:
            uploads.add_metric((outcome,), getattr(seen, outcome))
        yield uploads
        for field, (name, text) in _COUNTERS.items():
            yield CounterMetricFamily(f"penstock_logs_{name}", text, value=getattr(seen, field))


@contextmanager
def served(statistics: Callable[[], MonitorStatistics], port: int | None) -> Iterator[None]:
    """Serve the metrics on loopback for as long as the block lasts; without a port, serve nothing.

    Raises:
        LogMonitorError: The extra is not installed.
        OSError: The port is taken.
    """
    if port is None:
        yield
        return
    try:
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415  # an extra's
    except ModuleNotFoundError as error:
        raise LogMonitorError(
            "metrics need the extra: pip install 'penstock-logging-monitor[metrics]'", permanent=True
        ) from error
    registry = CollectorRegistry()
    registry.register(MonitorMetrics(statistics))
    server, thread = start_http_server(port, addr=_HOST, registry=registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
