"""Opsgenie: Alert API; the alert's id is the ``alias``, so nothing is doubled there.

Reference: "Create Alert" and "Close Alert" (POST /v2/alerts, …/close): 202 accepts; a
message has at most 130 characters, a description 15,000.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from sentinel.subscribers.kinds import Opsgenie
from streams.deliveries.adapters.base import Item, Message, Outcome, PerAlert, outcome
from streams.deliveries.payload import PING

PRIORITY: Final = {"critical": "P1", "high": "P2", "medium": "P3", "low": "P4"}
MOST_MESSAGE, MOST_TEXT = 130, 15_000
REFUSED: Final = (422,)


class OpsgenieAdapter(PerAlert[Opsgenie]):
    """Creates an alert there, and closes it when ours is resolved."""

    async def tell(self, message: Message, item: Item) -> Outcome:
        """Create, which for a known alias counts up, or close."""
        alias = f"sentinel-{item.data['id']}"
        if item.resolved:
            return outcome(await self._close(alias))
        one = message._replace(items=[item])
        data = item.data
        value: dict[str, Any] = {
            "alias": alias,
            "message": self.subject(one)[:MOST_MESSAGE],
            "description": self.text(one)[:MOST_TEXT],
            "entity": str(data["entity"])[:512],
            "source": "Sentinel",
            "priority": PRIORITY.get(data["severity"], "P5"),
            "tags": [data["source"], *data["techniques"]][:20],
            "details": {"rule_id": data["rule_id"], "tenant": data["tenant"], "id": data["id"]},
        }
        reply = await self._post("/v2/alerts", value)
        if item.type == PING and reply.ok:
            await self._close(alias)
        return outcome(reply, REFUSED)._replace(reference=alias)

    async def _close(self, alias: str) -> Any:
        return await self._post(
            f"/v2/alerts/{alias}/close?identifierType=alias",
            {"source": "Sentinel", "note": "resolved in Sentinel"},
        )

    async def _post(self, path: str, value: dict[str, Any]) -> Any:
        key = self.channel.api_key.get_secret_value()
        return await self.ask(
            "POST",
            self.channel.url.rstrip("/") + path,
            orjson.dumps(value),
            headers={"Authorization": f"GenieKey {key}"},
        )
