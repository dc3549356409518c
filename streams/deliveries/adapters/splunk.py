"""Splunk: HTTP Event Collector.

Reference: "Format events for HTTP Event Collector": objects one after another in one body,
time in seconds; 400 refuses the data, 403 the token, 503 is busy.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import orjson

from sentinel.subscribers.kinds import Splunk
from streams.deliveries.adapters.base import Adapter, Item, Message, Outcome, outcome

PATH: Final = "/services/collector/event"
REFUSED: Final = (400,)


class SplunkAdapter(Adapter[Splunk]):
    """One event an alert, all of a batch in one request."""

    async def send(self, message: Message) -> Outcome:
        """Post the events."""
        body = b"\n".join(orjson.dumps(self._event(item)) for item in message.items)
        reply = await self.ask(
            "POST",
            self.channel.url.rstrip("/") + PATH,
            body,
            headers={"Authorization": f"Splunk {self.channel.token.get_secret_value()}"},
        )
        return outcome(reply, REFUSED)

    def _event(self, item: Item) -> dict[str, Any]:
        event: dict[str, Any] = {
            "time": datetime.fromisoformat(item.data["last_seen"]).timestamp(),
            "source": "sentinel",
            "sourcetype": self.channel.sourcetype,
            "event": {"type": item.type, **item.data},
        }
        if self.channel.index:
            event["index"] = self.channel.index
        return event
