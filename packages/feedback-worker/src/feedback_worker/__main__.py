"""The command `feedback-worker`."""

import time

STARTED = time.monotonic()  # before the imports below: they are part of what a person waits for

import asyncio  # noqa: E402 - after the clock has started
import sys  # noqa: E402 - the same

from rich.console import Console  # noqa: E402 - the same

from feedback_worker._errors import EXIT_INTERRUPTED, EXIT_RUN, EXIT_USAGE, RunError, UsageError  # noqa: E402 - the same
from feedback_worker._job import run_job  # noqa: E402 - the same
from feedback_worker._options import parse_options  # noqa: E402 - the same


def main() -> int:
    """Run the job; a fault is one sentence on standard error."""
    options = parse_options()
    try:
        return asyncio.run(run_job(options, STARTED, Console()))
    except UsageError as error:
        print(f"feedback-worker: {error}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return EXIT_USAGE
    except RunError as error:
        print(f"feedback-worker: {error}", file=sys.stderr)  # noqa: T201 - the same
        return EXIT_RUN
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
