"""Pub/Sub: what a sink of Cloud Logging, or a notification of findings, sends to a topic.

Messages are pulled, put into ours, and only then acknowledged: Pub/Sub gives again what was not.
The library is Google's own client of the API over JSON.

Source: Google Cloud, "Pull subscriptions", "projects.subscriptions.pull".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from connectors._google.reading.credential import GoogleSettings, credentials, failure
from connectors._reading.base import (
    Check,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)
from connectors.base import Connector

if TYPE_CHECKING:
    from google.pubsub_v1 import SubscriberClient

NEEDS: Final = "roles/pubsub.subscriber on the subscription"
PULL: Final = 1000
TIMEOUT_S: Final = 30.0


class PubSubSettings(GoogleSettings, ReaderSettings):
    """Which subscription."""

    subscription: str = Field(
        pattern=r"^projects/[^/]+/subscriptions/[^/]+$",
        description="projects/<project>/subscriptions/<name>; of its own, shared with nobody.",
    )


class PubSubReader(Reader):
    """Messages of a subscription; ids are ``pubsub:<subscription>/<message id>``."""

    Settings: ClassVar[type[ReaderSettings]] = PubSubSettings
    settings: PubSubSettings

    def __init__(self, settings: Any, connector: Connector) -> None:
        super().__init__(settings, connector)
        self._client: SubscriberClient | None = None

    def read(self, position: Position | None) -> Iterator[Page]:
        """Yield messages until there are none; each page is acknowledged once it is safe.

        Raises
        ------
        DeniedError, SourceError
            See the contract; what was not acknowledged comes again.
        """
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]
        from requests import RequestException

        unfit = (RequestException, ParseError, ValueError, TypeError, AttributeError)
        del position  # the subscription itself knows
        name = self.settings.subscription
        try:
            while not self.stopping.is_set():
                pulled = self._connected().pull(
                    subscription=name, max_messages=PULL, timeout=TIMEOUT_S, retry=None
                )
                received = list(pulled.received_messages)
                if not received:
                    return
                yield Page(
                    [
                        Record(one.message.data, f"pubsub:{name}/{one.message.message_id}")
                        for one in received
                        if one.message.data
                    ],
                    {},
                    skipped=_empty(received),
                )
                self._connected().acknowledge(
                    subscription=name,
                    ack_ids=[one.ack_id for one in received],
                    timeout=TIMEOUT_S,
                    retry=None,
                )
        except (GoogleAPICallError, GoogleAuthError) as error:
            raise failure(error, f"pull {name}", NEEDS) from error
        except unfit as error:
            problem = f"pull {name}: expected messages, found {type(error).__name__}"
            raise SourceError(f"{problem} {error!s:.120}; it is asked again") from error

    def _connected(self) -> SubscriberClient:
        if self._client is None:
            from google.pubsub_v1 import SubscriberClient
            from google.pubsub_v1.services.subscriber.transports.rest import SubscriberRestTransport

            scheme, _, host = (self.settings.endpoint or "https://pubsub.googleapis.com").partition(
                "://"
            )
            self._client = SubscriberClient(
                transport=SubscriberRestTransport(
                    host=host, url_scheme=scheme, credentials=credentials(self.settings)
                )
            )
        return self._client

    def check(self) -> Iterator[Check]:
        """Ask for the subscription; nothing is pulled, for that would hide it from others."""
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError

        name = self.settings.subscription
        try:
            found = self._connected().get_subscription(
                subscription=name, timeout=TIMEOUT_S, retry=None
            )
        except (GoogleAPICallError, GoogleAuthError) as error:
            needs = f"{NEEDS}, and roles/pubsub.viewer for this check"
            yield Check(f"get {name}", ok=False, detail=str(failure(error, f"get {name}", needs)))
        except SourceError as error:
            yield Check(f"get {name}", ok=False, detail=str(error))
        else:
            yield Check(f"get {name}", ok=True, detail=f"of the topic {found.topic}")

    def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            self._client.transport.close()  # type: ignore[no-untyped-call]


def _empty(received: list[Any]) -> dict[str, int]:
    """Count the messages that hold nothing."""
    count = sum(1 for one in received if not one.message.data)
    return {"empty": count} if count else {}
