"""What a run prints at its end: a table of the facts, and one answer in full."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from feedback_worker._errors import RunError


def write_report(facts: dict[str, Any], path: Path) -> None:
    """Write the facts as JSON.

    Raises:
        RunError: The file cannot be written.
    """
    try:
        path.write_text(json.dumps(facts, indent=2) + "\n")
    except OSError as error:
        raise RunError(f"Cannot write the report to {path}: {error.strerror}.") from error


def print_report(facts: dict[str, Any], sample: dict[str, Any] | None, console: Console) -> None:
    """Print the table, and under it one answer."""
    if sample is not None:
        console.print(_answer(sample))
    console.print(_table(facts))


def _table(facts: dict[str, Any]) -> Table:
    """Lay the facts out in groups."""
    table = Table(title="What became of every message", show_header=False, title_justify="left", min_width=60)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    messages, quota, logs = facts["messages"], facts.get("quota"), facts.get("logs")
    for name, remark in _MESSAGE_ROWS.items():
        table.add_row(name.replace("_", "-"), f"{messages[name]:,}", remark)
    for reason, count in messages["dead_letter_reasons"].items():
        table.add_row(f"  {reason}", f"{count:,}", "reason of dead letters")
    table.add_section()
    table.add_row("latency p50", f"{facts['latency_ms']['p50'] / 1000:,.2f} s", "enqueued to answered")
    table.add_row("latency p99", f"{facts['latency_ms']['p99'] / 1000:,.2f} s", "")
    if quota:
        table.add_section()
        table.add_row("HTTP 429", f"{quota['http_429']:,}", quota["judge"])
        table.add_row("peak use", f"{quota['peak_use']:.1%}", f"of {quota['tpm']:,} tokens in any minute")
        table.add_row("tokens billed", f"{quota['billed_tokens']:,}", f"{quota['judged_tokens']:,} judged")
    if logs:
        table.add_section()
        table.add_row("log lines", f"{logs['lines']:,}", f"shipped in {logs['files_shipped']} files")
        table.add_row("missing", f"{logs['missing']:,}", "acknowledged, and in no blob")
        table.add_row("doubled", f"{logs['doubled']:,}", "in the blobs more than once")
    table.add_section()
    table.add_row("time", f"{facts['seconds']:.1f} s", "start to report")
    return table


_MESSAGE_ROWS = {
    "in": "ids written down before sending",
    "answered": "their answers lie on the out-queue",
    "dead_lettered": "with a reason",
    "remaining": "still on the in-queue",
    "duplicates": "found more than once",
    "suppressed": "doubles the broker removed",
    "lost": "found nowhere",
}


def _answer(sample: dict[str, Any]) -> Panel:
    """Frame one answer, field by field."""
    lines = [Text.assemble((f"{name}: ", "bold"), str(value)) for name, value in sample["answer"].items()]
    return Panel(Group(*lines), title=f"The answer to {sample['id']}", title_align="left")
