"""What pools.toml says: the pools and how each is shared, the apps and what lets them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock_token_client import Limits, Sharing
from penstock_token_client.protocol import LockRequest, pool_path

from ._access import Access, App, ContradictionError, Entra
from ._document import read_document

if TYPE_CHECKING:
    from collections.abc import Collection

    from ._document import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolSettings:
    """One pool.

    Attributes:
        limits: Its limits.
        sharing: How the apps share it.
        deployment: A name that is passed on to whoever is granted quota.
    """

    limits: Limits
    sharing: Sharing = field(default_factory=Sharing)
    deployment: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """What a counter serves, by the name of the pool, and to whom."""

    pools: dict[str, PoolSettings]
    access: Access = field(default_factory=Access)


def read_configuration(file: str) -> Configuration:
    """Read and check a pools.toml.

    Raises:
        UsageError: It cannot be read, or says something wrong; names the line.
    """
    document = read_document(file)
    pools = {table.name: table for table in document.tables("pools")}
    apps = {table.name: table for table in document.tables("apps")}
    entra = document.table("entra")
    document.done()
    if not pools:
        document.refuse("pools", "there is no pool: add [pools.NAME] with tpm and rpm")
    known = {name: _app(table, pools) for name, table in apps.items()}
    tokens = _entra(entra) if "entra" in document else None
    served = {name: _pool(table, apps) for name, table in pools.items()}
    for table in (*pools.values(), *apps.values(), entra):
        table.done()
    return Configuration(pools=served, access=_access(document, known, tokens))


def _pool(table: Table, apps: Collection[str]) -> PoolSettings:
    """Read a pool."""
    return PoolSettings(
        limits=_limits(table),
        sharing=_sharing(table, apps),
        deployment=_deployment(table),
    )


def _limits(table: Table) -> Limits:
    """Read the limits of a pool."""
    table.check(pool_path, table.name)
    for name in ("tpm", "rpm"):
        if name not in table:
            table.refuse(None, f"the pool {table.name!r} has no {name}: give tpm and rpm, both per minute")
    return table.build(
        Limits,
        tpm=table.whole("tpm"),
        rpm=table.whole("rpm"),
        sub_window=table.number("sub_window"),
        headroom=table.number("headroom"),
        settle=table.text("settle"),
        learn_max_tokens=table.number("learn_max_tokens"),
    )


def _sharing(table: Table, apps: Collection[str]) -> Sharing:
    """Read how the apps share a pool."""
    weights = table.table("weights")
    for app in weights:
        if apps and app not in apps:
            weights.refuse(app, f"there is no app {app!r}: add [apps.{app}], or leave its weight out")
        weights.check(Sharing, weights={app: weights.number(app)}, field=app)
    return table.build(
        Sharing, weights={app: weights.number(app) for app in weights}, max_depth=table.whole("max_depth")
    )


def _deployment(table: Table) -> str | None:
    """Read the name that is passed on to whoever is granted quota."""
    deployment = table.text("deployment")
    if deployment is not None and not deployment.strip():
        table.refuse("deployment", "deployment must not be blank: name the deployment, or leave it out")
    return deployment


def _app(table: Table, pools: Collection[str]) -> App:
    """Read an app."""
    table.check(LockRequest.parse, {"app_id": table.name, "token_count": 0})
    for pool in table.texts("pools") or ():
        if pool not in pools:
            table.refuse("pools", f"there is no pool {pool!r}, only {', '.join(pools)}")
    return table.build(App, keys=table.texts("keys"), client_ids=table.texts("client_ids"), pools=table.texts("pools"))


def _entra(table: Table) -> Entra:
    """Read whose tokens are accepted."""
    if "audience" not in table:
        table.refuse(None, "[entra] has no audience: give the client id of the counter's own registration")
    names = ("audience", "tenant", "issuer", "jwks_url")
    return table.build(Entra.of, **{name: table.text(name) for name in names})


def _access(document: Table, apps: dict[str, App], entra: Entra | None) -> Access:
    """Put the apps together with Entra ID."""
    try:
        return Access(apps=apps, entra=entra)
    except ContradictionError as error:
        document.refuse_at(error.where, str(error))
