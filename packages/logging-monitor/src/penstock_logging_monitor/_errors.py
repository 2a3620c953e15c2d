"""The errors of this package; like all of Penstock's, they carry facts that a retry loop can read."""

from __future__ import annotations


class LogMonitorError(Exception):
    """Raised when the monitor cannot do its work.

    Attributes:
        permanent: Asking again cannot help.
        retry_after: Seconds to wait before asking again, where somebody told us.
        environment: Not the fault of this file or call: the target or the machine is not as it should be.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: float | None = None, environment: bool = False
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
        self.environment = environment


class NameTakenError(LogMonitorError):
    """Raised when a target already holds other content under this name.

    Attributes:
        name: The name.
        compared: Whether the content was seen to be another; False: it could not be looked at.
    """

    def __init__(self, name: str, *, compared: bool = True) -> None:
        super().__init__(f"the target already holds other content under {name}", permanent=True)
        self.name = name
        self.compared = compared
