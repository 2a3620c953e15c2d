"""Who may use a counter, as it is told at its start: apps, their keys and pools, and Entra ID."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PUBLIC_CLOUD = "https://login.microsoftonline.com"
_FIRST_TOKENS = "https://sts.windows.net/{}/"
"""Who issues tokens of version 1 in the public cloud; many applications are registered for those."""


class ContradictionError(ValueError):
    """Raised for access rules that contradict each other; ``where`` are the names that lead to the place."""

    def __init__(self, message: str, *where: str) -> None:
        super().__init__(message)
        self.where = where


def digest(key: str) -> str:
    """Return what stands for a key in `App.keys`; keys are random, so a plain SHA-256 gives nothing away."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """An app that may ask for quota.

    Attributes:
        keys: The `digest` of each of its keys: two while one replaces the other.
        client_ids: The Entra ID client ids its workers have.
        pools: The pools it may use; None: all.
    """

    keys: Collection[str] = field(default=(), repr=False)
    client_ids: Collection[str] = ()
    pools: Collection[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what could let nobody in, without repeating what may be a key."""
        if not all(_DIGEST.fullmatch(key) for key in self.keys):
            raise ValueError(
                "keys must be digests, 'sha256:' and 64 small hexadecimal digits, as penstock-token-counter key prints"
            )
        if any(not client_id.strip() for client_id in self.client_ids):
            raise ValueError("client_ids must not be blank")
        if self.pools is not None and not self.pools:
            raise ValueError("pools must name at least one pool; leave it out to allow all")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entra:
    """Whose tokens are accepted, and for whom they must be meant.

    Attributes:
        issuers: The ``iss`` of a token must be one of these.
        audience: The ``aud`` of a token: the client id, or the application id URI, of the counter's registration.
        jwks_url: Where the issuer's public keys are.
    """

    issuers: Collection[str]
    audience: str
    jwks_url: str

    def __post_init__(self) -> None:
        """Refuse what could never be met."""
        if not self.issuers or any(not issuer.strip() for issuer in self.issuers):
            raise ValueError("issuer must not be blank")
        if not self.audience.strip():
            raise ValueError("audience must not be blank")
        if urlsplit(self.jwks_url).scheme not in ("http", "https"):
            raise ValueError("jwks_url must be an address that begins with https://")

    @classmethod
    def of(
        cls, *, audience: str, tenant: str | None = None, issuer: str | None = None, jwks_url: str | None = None
    ) -> Self:
        """Complete what a tenant tells: its id, or its address at the authority of another cloud.

        Raises:
            ValueError: Naming the argument.
        """
        if tenant is None and (issuer is None or jwks_url is None):
            raise ValueError("tenant is missing: give it, or issuer and jwks_url")
        issuers, keys = ((), "") if tenant is None else _known_of(tenant)
        return cls(issuers=issuers if issuer is None else (issuer,), audience=audience, jwks_url=jwks_url or keys)


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Who may use a counter.

    Attributes:
        apps: The apps there are; none: every app, with every pool and without a key.
        entra: Whose tokens are accepted besides keys.
    """

    apps: Mapping[str, App] = field(default_factory=dict)
    entra: Entra | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        seen: set[str] = set()
        for name, app in self.apps.items():
            self._check(name, app)
            for what in ("keys", "client_ids"):
                values = getattr(app, what)
                if not seen.isdisjoint(values):
                    raise ContradictionError(
                        f"one of the {what} of {name!r} is another app's: give each its own", "apps", name, what
                    )
                seen.update(values)
        if self.entra is not None and not any(app.client_ids for app in self.apps.values()):
            raise ContradictionError("Entra ID lets nobody in: give an app client_ids", "entra")

    def _check(self, name: str, app: App) -> None:
        """Refuse an app that could never ask, or not in the way that is foreseen for it."""
        if app.client_ids and self.entra is None:
            raise ContradictionError(
                f"client_ids of {name!r} say nothing without [entra]: add it, with tenant and audience",
                *("apps", name, "client_ids"),
            )
        if self.protected and not app.keys and not app.client_ids:
            raise ContradictionError(
                f"the app {name!r} can never ask: give it keys or client_ids, because others have some",
                *("apps", name),
            )

    @property
    def protected(self) -> bool:
        """Whether callers must say who they are."""
        return self.entra is not None or any(app.keys for app in self.apps.values())


def _known_of(tenant: str) -> tuple[tuple[str, ...], str]:
    """Return the issuers of a tenant, and the address of its keys."""
    if tenant.startswith(("https://", "http://")):
        base = tenant.rstrip("/")
        return (f"{base}/v2.0",), f"{base}/discovery/v2.0/keys"
    try:
        UUID(tenant)
    except ValueError:
        raise ValueError("tenant must be the tenant's id, a UUID, or its address at an authority") from None
    base = f"{_PUBLIC_CLOUD}/{tenant}"
    return (f"{base}/v2.0", _FIRST_TOKENS.format(tenant)), f"{base}/discovery/v2.0/keys"


def check_exposure(host: str, access: Access, *, insecure: bool = False) -> None:
    """Refuse an address that others can reach, as long as anybody could use the counter there.

    Raises:
        ValueError: It is one; names the host.
    """
    if not insecure and not access.protected and not _is_loopback(host):
        raise ValueError(
            f"host {host} can be reached from outside and no app has a key: give the apps keys in pools.toml, "
            "use a loopback address, or add --insecure if the network is closed"
        )


def _is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address; a name other than localhost might be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
