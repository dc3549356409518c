"""Read and write subscriptions; secrets are sealed before the database sees them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import orjson
from pydantic import SecretStr, ValidationError

from api.deps import Database
from api.errors import Problem
from api.paging import moment, raw_json
from sentinel import postgres
from sentinel.errors import SettingsError
from sentinel.settings import Settings
from sentinel.subscribers.egress import Egress, RefusedError
from sentinel.subscribers.kinds import KINDS, Channel, Webhook, parted
from sentinel.subscribers.model import Clause, Options
from sentinel.subscribers.vault import Vault, bound

SQL: Final = postgres.queries(Path(__file__).with_name("queries.sql"))
MOST: Final = 200
_TIMES: Final = (
    *("created_at", "updated_at", "succeeded_at", "failing_since"),
    *("due_at", "finished_at", "at"),
)


class Draft(NamedTuple):
    """A subscription as it is to be."""

    tenant: str
    id: UUID
    name: str
    channel: Channel
    filter: list[Clause]
    options: Options
    enabled: bool = True


def sql(query: str) -> str:
    """Return a query with the columns that it names."""
    return SQL[query].format_map(SQL)


def channel(kind: str, config: Mapping[str, Any]) -> Channel:
    """Return the checked configuration of a channel; raise `Problem` (422) where it is wrong."""
    if kind == "webhook" and "secrets" in config:
        raise Problem(422, "config.secrets: expected none: they are made here; rotate them instead")
    return _channel(kind, config)


def _channel(kind: str, config: Mapping[str, Any]) -> Channel:
    try:
        return KINDS[kind].model_validate(config)
    except ValidationError as error:
        found = [f"config.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise Problem(422, "; ".join(found)) from None


def vault(settings: Settings) -> Vault:
    """Return what seals secrets; raise `Problem` (503) where its key cannot be had."""
    try:
        return Vault.load(settings)
    except SettingsError as error:
        raise Problem(503, str(error)) from error


async def find(
    connection: Any, database: Database, ident: UUID, webhooks: bool, *, lock: bool = False
) -> Any:
    """Return the row of a subscription; raise `Problem` (404) where the tenant has none."""
    if lock:
        await connection.fetch(SQL["lock"], ident)
    row = await connection.fetchrow(sql("one"), ident, webhooks, database.only)
    if row is None:
        what = "webhook" if webhooks else "notification channel"
        raise Problem(404, f"expected the id of a {what}, found {ident}, which there is none of")
    return row


def draft(row: Mapping[str, Any], keys: Vault) -> Draft:
    """Return a row as it may be changed, its secrets opened."""
    try:
        secret = orjson.loads(keys.open(row["secrets"], bound(row["tenant"], row["id"])))
    except SettingsError as error:
        raise Problem(503, str(error)) from error
    return Draft(
        row["tenant"],
        row["id"],
        row["name"],
        _channel(row["kind"], orjson.loads(row["config"]) | secret),
        [Clause.model_validate(each) for each in orjson.loads(row["filter"])],
        Options.model_validate_json(row["options"]),
        row["enabled"],
    )


def changed(before: Channel, kind: str, config: Mapping[str, Any]) -> Channel:
    """Return a channel with some fields of its configuration replaced."""
    public, secret = parted(before)
    kept = {"secrets": secret["secrets"]} if isinstance(before, Webhook) else secret
    channel(kind, {k: v for k, v in (public | secret).items() if k != "secrets"} | dict(config))
    return _channel(kind, public | kept | dict(config))


async def insert(connection: Any, new: Draft, keys: Vault) -> None:
    """Add a subscription; raise `Problem` (409) where there is one of the name, or too many."""
    names = {row["name"] for row in await connection.fetch(SQL["names"], new.tenant)}
    if len(names) >= MOST:
        raise Problem(409, f"expected fewer than {MOST} subscriptions, found {len(names)}")
    await _write(connection, "insert", new, keys, names)


async def update(connection: Any, new: Draft, keys: Vault) -> None:
    """Replace a subscription; raise `Problem` (409) where another has the name."""
    names = {row["name"] for row in await connection.fetch(SQL["names"], new.tenant)}
    await _write(connection, "update", new, keys, names)


def check_address(channel: Channel, allow: str) -> None:
    """Raise `Problem` (422) where nothing would ever be sent to the address of a channel.

    Parameters
    ----------
    allow
        `Settings.deliver_allow`.
    """
    given = getattr(channel, "url", None) or getattr(channel, "host", None)
    text = given.get_secret_value() if isinstance(given, SecretStr) else given
    if text:
        host = urlsplit(text).hostname if "://" in text else text
        try:
            Egress(allow).check(host or "")
        except RefusedError as error:
            field = "url" if hasattr(channel, "url") else "host"
            raise Problem(422, f"{field}: {error}") from None


async def relane(connection: Any, new: Draft) -> None:
    """Let what waits go by the options of `new`."""
    await connection.execute(SQL["lanes"], new.tenant, new.id, new.options.concurrency)


async def _write(connection: Any, query: str, new: Draft, keys: Vault, names: set[str]) -> None:
    if strange := [step.to for step in new.options.escalation if step.to not in names]:
        raise Problem(
            422, f"options.escalation: expected names of subscriptions, found {strange[0]!r}"
        )
    public, secret = parted(new.channel)
    kind = () if query == "update" else (type(new.channel).__name__.lower(),)
    try:
        await connection.execute(
            SQL[query], new.tenant, new.id, new.name, *kind, orjson.dumps(public).decode(),
            keys.seal(orjson.dumps(secret), bound(new.tenant, new.id)),
            orjson.dumps([each.model_dump() for each in new.filter]).decode(),
            new.options.model_dump_json(), new.options.concurrency, new.options.batch_size,
            new.enabled,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise Problem(
            409, f"name: expected one that is not taken, found {new.name!r}: choose another"
        ) from None


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of subscriptions, deliveries or attempts as JSON sends it."""
    found = {name: value for name, value in row.items() if name not in {"secrets", "seq"}}
    for name in ("config", "filter", "options", "payload"):
        if name in found:
            found[name] = raw_json(found[name])
    for name in _TIMES:
        if found.get(name) is not None:
            found[name] = moment(found[name])
    return found


def fresh() -> UUID:
    """Return the id of a new subscription."""
    return uuid4()
