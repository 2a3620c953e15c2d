"""What ends a run before it starts: one sentence that says what to do."""


class UsageError(Exception):
    """The run cannot start as it was asked for: one sentence for the person at the terminal, exit status 2."""


class RunError(Exception):
    """The run started and cannot go on: one sentence for the person at the terminal, exit status 1."""
