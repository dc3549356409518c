"""PagerDuty: Events API v2; the alert's id is the ``dedup_key``, so nothing is doubled there.

Reference: "Send an Event" (POST /v2/enqueue): 202 accepts, 400 refuses the event, 429 asks
to wait; a summary has at most 1,024 characters.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from sentinel.subscribers.kinds import Pagerduty
from sentinel.subscribers.model import fill
from streams.deliveries.adapters.base import Item, Message, Outcome, PerAlert, outcome, values
from streams.deliveries.payload import PING

SEVERITY: Final = {"critical": "critical", "high": "error", "medium": "warning"}
SUMMARY: Final = "${title}: ${entity}"
MOST_SUMMARY: Final = 1024
REFUSED: Final = (400,)


class PagerdutyAdapter(PerAlert[Pagerduty]):
    """Triggers an incident, and resolves it when the alert is."""

    async def tell(self, message: Message, item: Item) -> Outcome:
        """Send one event."""
        data = item.data
        event: dict[str, Any] = {
            "routing_key": self.channel.routing_key.get_secret_value(),
            "event_action": "resolve" if item.resolved else "trigger",
            "dedup_key": f"sentinel-{data['id']}",
        }
        if not item.resolved:
            summary = fill(self.options.subject or SUMMARY, values(item))
            event["payload"] = {
                "summary": summary[:MOST_SUMMARY],
                "source": str(data["entity"])[:MOST_SUMMARY] or "sentinel",
                "severity": SEVERITY.get(data["severity"], "info"),
                "timestamp": data["last_seen"],
                "component": data["source"],
                "class": data["rule_id"],
                "group": data["tenant"],
                "custom_details": data,
            }
        reply = await self.ask("POST", self.channel.url, orjson.dumps(event))
        found = outcome(reply, REFUSED)
        if item.type == PING and not found.error:  # a test must leave nobody's pager ringing
            over = {name: event[name] for name in ("routing_key", "dedup_key")}
            await self.ask(
                "POST", self.channel.url, orjson.dumps(over | {"event_action": "resolve"})
            )
        return found._replace(reference=event["dedup_key"])
