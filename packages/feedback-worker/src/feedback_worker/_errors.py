"""How a run ends that does not end well: exit statuses, and the errors that are one sentence for a person."""

EXIT_RUN = 1
"""A message was lost, or the run could not go on."""

EXIT_USAGE = 2
"""The run could not start as it was asked for."""

EXIT_INTERRUPTED = 130
"""The person ended the run, and messages are left."""


class UsageError(Exception):
    """The run cannot start as it was asked for: one sentence for the person at the terminal, exit status 2."""


class RunError(Exception):
    """The run started and cannot go on: one sentence for the person at the terminal, exit status 1."""
