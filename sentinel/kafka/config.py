"""What every librdkafka client needs to reach the broker, and nothing else."""

from __future__ import annotations

import logging
import os
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
_FILES = ("kafka_ssl_ca", "kafka_ssl_certificate", "kafka_ssl_key")
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
#: Those that need no more than a name and a password, or than the system's Kerberos.
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")


def client_config(settings: Settings) -> dict[str, Any]:
    """Return the librdkafka settings that producers, consumers and admin clients share.

    The result holds the SASL password in clear, because librdkafka takes it no other
    way: hand it to a client, never to a log. librdkafka's own log lines go to the
    standard logger ``librdkafka``.

    Raises
    ------
    SettingsError
        `settings.kafka` names no broker, or the security settings do not go together, or
        name a file that cannot be read.
    """
    if not settings.kafka:
        raise SettingsError(
            "expected the address of a Kafka broker, found none; start one with `sentinel up` "
            "or set SENTINEL_KAFKA=host:port"
        )
    _check(settings)
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


def _check(settings: Settings) -> None:
    """Refuse what librdkafka would refuse in its own words, or ignore."""
    protocol = settings.kafka_security_protocol.upper()
    mechanism = settings.kafka_sasl_mechanism
    if protocol not in _PROTOCOLS:
        raise _unfit("SECURITY_PROTOCOL", f"one of {', '.join(_PROTOCOLS)}", protocol)
    sasl = {n: getattr(settings, f"kafka_sasl_{n}") for n in ("mechanism", "username", "password")}
    given = [name.upper() for name, value in sasl.items() if value]
    if not protocol.startswith("SASL"):
        if given:
            raise _unfit(
                "SECURITY_PROTOCOL",
                f"SASL_SSL where SENTINEL_KAFKA_SASL_{given[0]} is set",
                protocol,
            )
    elif mechanism.upper() not in _MECHANISMS:
        raise _unfit("SASL_MECHANISM", f"one of {', '.join(_MECHANISMS)}", mechanism or "none")
    elif mechanism.upper() != "GSSAPI" and len(given) < len(sasl):
        missing = next(name.upper() for name, value in sasl.items() if not value)
        raise _unfit(f"SASL_{missing}", f"it set for {mechanism}", "nothing")
    files = {name: getattr(settings, name) for name in _FILES}
    for name, path in files.items():
        if path and not os.access(path, os.R_OK):
            raise _unfit(name.removeprefix("kafka_").upper(), "a PEM file that can be read", path)
        if path and not protocol.endswith("SSL"):
            raise _unfit("SECURITY_PROTOCOL", f"SSL or SASL_SSL for {path}", protocol)


def _unfit(name: str, expected: str, found: str) -> SettingsError:
    return SettingsError(f"SENTINEL_KAFKA_{name}: expected {expected}, found {found}")
