"""The subscriptions, as the database has them now; read again only when one has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from sentinel import log, postgres
from sentinel.errors import SettingsError
from sentinel.subscribers.model import Subscription
from sentinel.subscribers.vault import Vault, bound

SQL = postgres.queries(Path(__file__).with_suffix(".sql"))
_log = log.get("streams.deliveries.book")


class Book:
    """Reads the subscriptions and opens their secrets.

    One that cannot be read is left out, and logged: its alerts are not lost, for what is in
    the outbox waits; mending it is up to whoever wrote the row or changed the key.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._stamp: tuple[int, int] | None = None
        self._found: dict[UUID, Subscription] = {}

    async def read(self, connection: Any) -> Mapping[UUID, Subscription]:
        """Return all subscriptions as `connection`, a worker's, sees them."""
        count, total = await connection.fetchrow(SQL["stamp"])
        stamp = (int(count), int(total))
        if stamp != self._stamp:
            rows = await connection.fetch(SQL["all"])
            self._found = {row["id"]: found for row in rows if (found := self._subscription(row))}
            self._stamp = stamp
        return self._found

    def enabled(self) -> Sequence[Subscription]:
        """Return those that are switched on, as of the last `read`."""
        return [each for each in self._found.values() if each.enabled]

    def _subscription(self, row: Mapping[str, Any]) -> Subscription | None:
        try:
            secret = orjson.loads(self._vault.open(row["secrets"], bound(row["tenant"], row["id"])))
            return Subscription(
                **{name: row[name] for name in ("tenant", "id", "name", "kind", "created_at")},
                version=row["version"],
                enabled=row["enabled"],
                config=orjson.loads(row["config"]) | secret,
                filter=orjson.loads(row["filter"]),
                options=orjson.loads(row["options"]),
            )
        except (SettingsError, ValidationError, ValueError) as error:
            _log.error(
                "a subscription cannot be read",
                action="subscription_unreadable",
                subscription=str(row["id"]),
                error=str(error),
            )
            return None
