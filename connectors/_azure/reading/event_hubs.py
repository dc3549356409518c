"""Azure Event Hubs, at their Kafka endpoint: what diagnostic settings stream there.

An event hub is a topic; the namespace's connection string is a password, or an identity with
the role Azure Event Hubs Data Receiver gets a token. Messages hold ``{"records": […]}``.

Source: Microsoft, "What is Azure Event Hubs for Apache Kafka", "Kafka protocol authentication".
"""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final

from pydantic import Field, SecretStr

from connectors._azure.reading.credential import AzureSettings, Credential
from connectors._reading.base import ReaderSettings
from connectors._reading.kafka import KafkaReader, KafkaSettings

_PORT: Final = 9093
_ENDPOINT: Final = "Endpoint=sb://"


class EventHubsSettings(AzureSettings, KafkaSettings):
    """Which event hubs, and how to log on."""

    bootstrap: str = Field(
        "", description="Namespace (name.servicebus.windows.net); none: of the connection string."
    )
    connection_string: SecretStr = Field(
        SecretStr(""), description="Connection string with the right Listen; none: an identity."
    )
    group: str = Field("$Default", description="Consumer group of the event hub.")


class EventHubsReader(KafkaReader):
    """Event hubs of one namespace."""

    Settings: ClassVar[type[ReaderSettings]] = EventHubsSettings
    settings: EventHubsSettings
    _credential: Credential | None = None

    def _config(self) -> dict[str, Any]:
        """Return librdkafka's settings: TLS, and a password or a token."""
        secret = self.settings.connection_string.get_secret_value()
        namespace = self.settings.bootstrap
        if not namespace and secret.startswith(_ENDPOINT):
            namespace = secret.removeprefix(_ENDPOINT).partition("/")[0]
        host = namespace if ":" in namespace else f"{namespace}:{_PORT}"
        config = super()._config() | {
            "bootstrap.servers": host,
            "security.protocol": "SASL_SSL",
            # The service closes idle connections after some minutes.
            "connections.max.idle.ms": 180_000,
            "metadata.max.age.ms": 180_000,
        }
        if self.settings.ca:
            config["ssl.ca.location"] = self.settings.ca
        if secret:
            return config | {
                "sasl.mechanism": "PLAIN",
                "sasl.username": "$ConnectionString",
                "sasl.password": secret,
            }
        credential = self._credential = self._credential or Credential(self.settings)
        scope = f"https://{host.partition(':')[0]}/.default"

        def token(_: str) -> tuple[str, float]:
            made = credential.get().get_token(scope)
            return made.token, max(float(made.expires_on), time.time() + 1)

        return config | {"sasl.mechanism": "OAUTHBEARER", "oauth_cb": token}

    def close(self) -> None:
        """Let go of connections, and of tokens."""
        super().close()
        if self._credential is not None:
            self._credential.close()
