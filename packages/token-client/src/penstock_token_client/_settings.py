"""What arguments and environment variables say, with errors that name both."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

_DEFAULT_URL = "http://localhost:8001"


def given(argument: str | None) -> str | None:
    """Return what an argument says; empty and blank say nothing."""
    return argument.strip() or None if argument is not None else None


def variable(name: str) -> str | None:
    """Return what an environment variable says; unset, empty and blank say nothing."""
    return given(os.environ.get(name))


def address(argument: str | None) -> str:
    """Return the counter's address without its trailing slash: the argument, ``TOKEN_COUNTER_URL``, or the default.

    Raises:
        ValueError: It is no address, or carries credentials, which would show up in logs.
    """
    text = given(argument) or variable("TOKEN_COUNTER_URL") or _DEFAULT_URL
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"base_url (or TOKEN_COUNTER_URL) must be an address such as {_DEFAULT_URL}")
    if "@" in parts.netloc:
        raise ValueError("base_url (or TOKEN_COUNTER_URL) must not carry credentials: give key (or TOKEN_COUNTER_KEY)")
    return text.rstrip("/")
