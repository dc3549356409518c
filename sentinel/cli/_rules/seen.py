"""Events that really came, a few of each operation: what rules are judged by."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import cached_property
from typing import Any

from connectors.base import Connector
from sentinel import local, postgres
from sentinel.cli import _client, _common

#: Events of a source, one of each operation and of the latest, that are decoded; and the latest
#: among which they are looked for.
MOST, AMONG = 2000, 200_000
_SOURCES = "SELECT DISTINCT source FROM events WHERE time >= $1"
_QUERY = """
WITH latest AS MATERIALIZED (
  SELECT operation, raw, time FROM events WHERE source = $1 AND time >= $2 AND raw <> ''
  ORDER BY time DESC LIMIT $4
)
(SELECT DISTINCT ON (operation) raw FROM latest ORDER BY operation, time DESC LIMIT $3)
UNION ALL
(SELECT raw FROM latest ORDER BY time DESC LIMIT $3)
"""


class Seen:
    """The events of one tenant, or of all, that are stored since a time.

    Parameters
    ----------
    span
        A time, or a span back from now such as ``7d``.
    tenant
        Whose; None: everyone's.
    """

    def __init__(self, span: str, tenant: str | None) -> None:
        self._since = datetime.fromisoformat(_client.moment(span) or "")
        whose = f" of {tenant}" if tenant else ""
        self.words = f"{span}{whose}"
        self._tenant = tenant or postgres.ALL_TENANTS

    def __call__(self, name: str, source: Connector) -> list[bytes]:
        """Return events of a source."""
        return self._events.get(name, [])

    @cached_property
    def _events(self) -> dict[str, list[bytes]]:
        return asyncio.run(self._read())

    async def _read(self) -> dict[str, list[bytes]]:
        settings = local.connect(_common.settings(), "postgres")
        pool: Any = await postgres.open_pool(
            settings.postgres, postgres.API, tenant=self._tenant, size=1
        )
        try:
            sources = [row[0] for row in await pool.fetch(_SOURCES, self._since)]
            rows = {
                name: await pool.fetch(_QUERY, name, self._since, MOST, AMONG) for name in sources
            }
        finally:
            await pool.close()
        return {name: [row["raw"].encode() for row in found] for name, found in rows.items()}
