"""What can go wrong when stand-ins start."""


class LocalAzureError(Exception):
    """A stand-in cannot do its work."""

    permanent: bool = False
    """Whether trying again cannot help."""
    retry_after: float | None = None
    """Seconds after which trying again may help, if known."""
    environment: bool = True
    """Whether the cause lies outside of what was asked."""


class AddressUnavailable(LocalAzureError):  # noqa: N818  # the name says what is wrong without a suffix
    """A stand-in cannot listen where it was told to.

    Attributes:
        service: which one.
        host: the address it was to listen on.
        port: the port it was to listen on.
    """

    def __init__(self, service: str, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"{service} cannot listen on {host}, port {port} ({reason}): "
            "end what uses the port or choose another one, 0 for any that is free."
        )
        self.service = service
        self.host = host
        self.port = port
