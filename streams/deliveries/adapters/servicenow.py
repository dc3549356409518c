"""ServiceNow: an incident an alert, found again by its correlation id; resolved on either side.

Reference: Table API (GET, POST, PATCH /api/now/table/incident); the states 6 resolved,
7 closed and 8 cancelled are those of the base system.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson

from sentinel.subscribers.kinds import Servicenow
from streams.deliveries.adapters.base import Item, Message, Outcome, PerAlert, outcome
from streams.deliveries.http import Reply

TABLE: Final = "/api/now/table/incident"
FIELDS: Final = "sys_id,number,state"
RESOLVED: Final = "6"
OVER: Final = frozenset({"6", "7", "8"})
#: Urgency and impact, of which ServiceNow makes the priority.
URGENCY: Final = {"critical": "1", "high": "1", "medium": "2"}
IMPACT: Final = {"critical": "1", "high": "2", "medium": "2"}
REFUSED: Final = (400,)


class ServicenowAdapter(PerAlert[Servicenow]):
    """Creates an incident, adds work notes, resolves it."""

    async def tell(self, message: Message, item: Item) -> Outcome:
        """Create the incident of an alert, or bring it up to date."""
        ident = message.reference
        if not ident:  # made before, and the answer lost: the correlation id tells
            query = quote(f"correlation_id=sentinel-{item.data['id']}")
            reply = await self._call(
                "GET", f"?sysparm_query={query}&sysparm_limit=1&sysparm_fields={FIELDS}"
            )
            if not reply.ok:
                return outcome(reply)
            found = _result(reply)
            ident = str(found[0]["sys_id"]) if isinstance(found, list) and found else ""
        one = message._replace(items=[item])
        if item.resolved:
            return await self._resolve(ident) if ident else Outcome()
        if ident:
            reply = await self._call("PATCH", f"/{quote(ident)}", {"work_notes": self.text(one)})
            return self._made(reply, ident)
        reply = await self._call("POST", "", self._incident(one, item))
        made = _result(reply)
        return self._made(reply, str(made.get("sys_id", "")) if isinstance(made, dict) else "")

    def _incident(self, message: Message, item: Item) -> dict[str, str]:
        severity = item.data["severity"]
        return {
            "short_description": self.subject(message)[:160],
            "description": self.text(message)[:4000],
            "urgency": URGENCY.get(severity, "3"),
            "impact": IMPACT.get(severity, "3"),
            "correlation_id": f"sentinel-{item.data['id']}",
            "correlation_display": "Sentinel",
        }

    def _made(self, reply: Reply, ident: str) -> Outcome:
        found = outcome(reply, REFUSED)
        if found.error:
            return found
        url = f"{self.channel.url.rstrip('/')}/incident.do?sys_id={quote(ident)}"
        return found._replace(reference=ident, url=url)

    async def _resolve(self, ident: str) -> Outcome:
        if ident in await self.closed([ident]):
            return Outcome(200)
        change = {
            "state": RESOLVED,
            "close_code": self.channel.close_code,
            "close_notes": "Resolved in Sentinel.",
        }
        return outcome(await self._call("PATCH", f"/{quote(ident)}", change))

    async def closed(self, references: Sequence[str]) -> set[str]:
        """Return the incidents that are resolved, closed or cancelled."""
        query = quote(f"sys_idIN{','.join(references)}")
        reply = await self._call(
            "GET", f"?sysparm_query={query}&sysparm_limit=100&sysparm_fields={FIELDS}"
        )
        rows = _result(reply)
        if not isinstance(rows, list):
            return set()
        return {str(row["sys_id"]) for row in rows if str(row.get("state")) in OVER}

    async def _call(self, method: str, path: str, value: Any = None) -> Reply:
        return await self.ask(
            method,
            self.channel.url.rstrip("/") + TABLE + path,
            b"" if value is None else orjson.dumps(value),
            auth=(self.channel.user, self.channel.password.get_secret_value()),
            headers={"Accept": "application/json"},
        )


def _result(reply: Reply) -> Any:
    """Return what the Table API answers with: a row, rows, or None."""
    try:
        value = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None
    return value.get("result") if isinstance(value, dict) else None
