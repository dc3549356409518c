"""Slack: an incoming webhook, with Block Kit.

Reference: Slack's "Sending messages using incoming webhooks" (errors: 400 for a payload it
refuses, 404 and 410 for a channel or team that is gone) and "Block Kit" (a header of 150
characters, a section of 3,000).
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from sentinel.subscribers.kinds import Slack
from streams.deliveries.adapters.base import Adapter, Message, Outcome, outcome

MOST_HEADER: Final = 150
MOST_SECTION: Final = 3000
REFUSED: Final = (400,)
GONE: Final = frozenset({404, 410})


class SlackAdapter(Adapter[Slack]):
    """One message of Slack a message of ours."""

    async def send(self, message: Message) -> Outcome:
        """Post the text, and the facts beside it."""
        subject, text = self.subject(message), escaped(self.text(message))
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": {"type": "plain_text", "text": subject[:MOST_HEADER]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": text[:MOST_SECTION]}},
        ]
        body = orjson.dumps({"text": escaped(subject), "blocks": blocks})
        reply = await self.ask("POST", self.channel.url.get_secret_value(), body)
        return outcome(reply, REFUSED)._replace(gone=reply.status in GONE)


def escaped(text: str) -> str:
    """Return text without what Slack would take for a link or a mention.

    >>> escaped("<!channel> & more")
    '&lt;!channel&gt; &amp; more'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
