"""Where uploads go: arguments first, then the environment. Read when an uploader is constructed, never at import."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PUBLIC_CLOUD_SUFFIX = "blob.core.windows.net"
"""The one place that knows a public-cloud host; give a full URL for any other cloud."""

_ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER_NAME = re.compile(r"(?=.{3,63}$)(\$root|\$web|[a-z0-9](-?[a-z0-9])*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One container, and how its account is addressed: by URL, by connection string, or not at all (a ready client)."""

    container: str
    account_url: str | None = field(default=None, repr=False)  # may carry a SAS token
    connection_string: str | None = field(default=None, repr=False)  # carries the account key


def resolve_target(
    *,
    account_url: str | None,
    connection_string: str | None,
    container_name: str | None,
    has_client: bool,
    environment: Mapping[str, str],
) -> Target:
    """Decide where uploads go.

    Args:
        account_url: Account name or URL; None or blank: ``AZURE_STORAGE_ACCOUNT``.
        connection_string: None or blank: ``AZURE_STORAGE_CONNECTION_STRING``.
        container_name: None or blank: ``AZURE_STORAGE_CONTAINER``.
        has_client: A ready SDK client was given, which knows its account.
        environment: The process environment.

    Raises:
        ValueError: Something is missing, malformed, or said twice; names the argument and the variable.
    """
    container = _container(_text(container_name) or _text(environment.get("AZURE_STORAGE_CONTAINER")))
    given = {"account_url": _text(account_url), "connection_string": _text(connection_string)}
    if has_client:
        _refuse_beside_client(given)
        return Target(container=container)
    url, string = _exactly_one(given, environment)
    return Target(container=container, account_url=_url(url) if url else None, connection_string=string)


def _exactly_one(given: Mapping[str, str | None], environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return URL and connection string, one of them None; an argument of either kind outdoes both variables."""
    if all(given.values()):
        raise ValueError("Both account_url and connection_string were given: give one of them.")
    if any(given.values()):
        return given["account_url"], given["connection_string"]
    url = _text(environment.get("AZURE_STORAGE_ACCOUNT"))
    string = _text(environment.get("AZURE_STORAGE_CONNECTION_STRING"))
    if url and string:
        raise ValueError("Both AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_CONNECTION_STRING are set: unset one of them.")
    if not url and not string:
        raise ValueError(
            "No storage account: give account_url= or connection_string=, or set AZURE_STORAGE_ACCOUNT (name or URL) "
            "or AZURE_STORAGE_CONNECTION_STRING."
        )
    return url, string


def _refuse_beside_client(given: Mapping[str, str | None]) -> None:
    """A ready client knows its account; a second answer would be ignored."""
    for name, value in given.items():
        if value:
            raise ValueError(f"Both client and {name} were given: the client knows its account, so leave {name} out.")


def _container(name: str | None) -> str:
    """Check a container name against Azure's rules ("Naming and Referencing Containers, Blobs, and Metadata")."""
    if name is None:
        raise ValueError("No container: give container_name= or set AZURE_STORAGE_CONTAINER.")
    if not _CONTAINER_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no container name (container_name, AZURE_STORAGE_CONTAINER): 3 to 63 lower-case letters, "
            "digits and single hyphens, with a letter or digit at both ends."
        )
    return name


def _url(name_or_url: str) -> str:
    """Turn an account name into its public-cloud URL; check that anything else is a URL."""
    if _ACCOUNT_NAME.fullmatch(name_or_url):
        return f"https://{name_or_url}.{PUBLIC_CLOUD_SUFFIX}"
    try:
        parts = urlsplit(name_or_url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ValueError(  # not quoted: it may be a mistyped URL with a SAS token in it
            "account_url (AZURE_STORAGE_ACCOUNT) is neither an account name, 3 to 24 lower-case letters and digits, "
            "nor an http(s) URL."
        )
    return name_or_url


def _text(value: str | None) -> str | None:
    """Unset, empty and blank are the same."""
    return value.strip() or None if value else None
