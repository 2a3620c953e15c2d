"""A progress bar for the person at the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def show_progress(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` messages have reached an end; yields the function that is told."""
    columns = (TextColumn("messages"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("messages", total=total)
        yield lambda done: progress.update(task, completed=done)
