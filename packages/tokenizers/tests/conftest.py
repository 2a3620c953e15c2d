"""No test of this package reaches for a network."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A machine under load is slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_forbidding = False


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse every way to a network but this machine's own."""
    if not _forbidding or event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        return
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    named = host.decode() if isinstance(host, bytes) else str(host)
    if named not in ("localhost", "None") and not named.startswith(("127.", "::1", "/", "\0")):
        raise AssertionError(f"a test reached for {named}")


sys.addaudithook(_forbid)


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    """Forbid sockets to anything but this machine while a test of this package runs."""
    global _forbidding  # noqa: PLW0603  a hook, once added, stays
    _forbidding = True
    yield
    _forbidding = False
