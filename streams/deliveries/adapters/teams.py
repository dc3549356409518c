"""Microsoft Teams: a workflow "when a Teams webhook request is received", with an Adaptive Card.

Reference: "Create incoming webhooks with Workflows for Microsoft Teams" and the schema of
Adaptive Cards 1.4; a message holds at most 28 KB.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from sentinel.subscribers.kinds import Teams
from streams.deliveries.adapters.base import Adapter, Message, Outcome, outcome

CARD: Final = "application/vnd.microsoft.card.adaptive"
COLOURS: Final = {"critical": "Attention", "high": "Attention", "medium": "Warning"}
MOST_TEXT: Final = 8000
REFUSED: Final = (400, 413)
GONE: Final = frozenset({404, 410})


class TeamsAdapter(Adapter[Teams]):
    """One card a message."""

    async def send(self, message: Message) -> Outcome:
        """Post a card."""
        colour = COLOURS.get(str(message.first.data.get("severity")), "Default")
        body: list[dict[str, Any]] = [
            {
                **{"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": True},
                **{"color": colour, "text": plain(self.subject(message))},
            }
        ]
        body += [
            {"type": "TextBlock", "wrap": True, "text": plain(part)}
            for part in self.text(message)[:MOST_TEXT].split("\n")
            if part
        ]
        card = {"type": "AdaptiveCard", "version": "1.4", "body": body}
        value = {
            "type": "message",
            "attachments": [{"contentType": CARD, "contentUrl": None, "content": card}],
        }
        url = self.channel.url.get_secret_value()
        reply = await self.ask("POST", url, orjson.dumps(value))
        return outcome(reply, REFUSED)._replace(gone=reply.status in GONE)


def plain(text: str) -> str:
    r"""Return text of which a card takes nothing for Markdown.

    >>> plain("[click](https://example.com)")
    '\\[click\\](https://example.com)'
    """
    return "".join("\\" + each if each in "\\[]*_#`" else each for each in text)
