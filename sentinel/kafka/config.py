"""What every librdkafka client needs to reach the broker, and nothing else."""

from __future__ import annotations

import logging
from typing import Any

from sentinel.errors import SettingsError
from sentinel.settings import Settings

_PASSED_THROUGH = {
    "kafka_sasl_mechanism": "sasl.mechanism",
    "kafka_sasl_username": "sasl.username",
    "kafka_ssl_ca": "ssl.ca.location",
    "kafka_ssl_certificate": "ssl.certificate.location",
    "kafka_ssl_key": "ssl.key.location",
}


def client_config(settings: Settings) -> dict[str, Any]:
    """Return the librdkafka settings that producers, consumers and admin clients share.

    The result holds the SASL password in clear, because librdkafka takes it no other
    way: hand it to a client, never to a log. librdkafka's own log lines go to the
    standard logger ``librdkafka``.

    Raises
    ------
    SettingsError
        `settings.kafka` names no broker.
    """
    if not settings.kafka:
        raise SettingsError(
            "expected the address of a Kafka broker, found none; start one with `sentinel up` "
            "or set SENTINEL_KAFKA=host:port"
        )
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka,
        "client.id": "sentinel",
        "security.protocol": settings.kafka_security_protocol,
        "allow.auto.create.topics": False,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "logger": logging.getLogger("librdkafka"),
    }
    for name, option in _PASSED_THROUGH.items():
        if value := getattr(settings, name):
            config[option] = value
    if password := settings.kafka_sasl_password.get_secret_value():
        config["sasl.password"] = password
    return config
