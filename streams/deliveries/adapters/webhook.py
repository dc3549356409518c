"""Standard Webhooks 1.0.0: the message as JSON, signed; 410 ends the subscription."""

from __future__ import annotations

from sentinel.subscribers import signing
from sentinel.subscribers.kinds import Webhook
from streams.deliveries.adapters.base import Adapter, Message, Outcome, outcome

GONE = 410


class WebhookAdapter(Adapter[Webhook]):
    """POST to one URL; only 2xx is success, redirects are failures."""

    async def send(self, message: Message) -> Outcome:
        """Sign and send; every attempt has its own timestamp and the same id."""
        channel = self.channel
        signed = signing.headers(channel.secrets, message.id, message.at, message.body)
        reply = await self.ask("POST", channel.url, message.body, headers=signed)
        return outcome(reply)._replace(gone=reply.status == GONE)
