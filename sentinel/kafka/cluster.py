"""Reach the broker, or say what stands in the way: address, certificate, name or password.

librdkafka tries for ever, and tells of refusals on the side alone (``error_cb``), so that
a wrong password looks like a slow broker. Whoever starts something asks here first.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from sentinel import errors, log
from sentinel.kafka.config import client_config
from sentinel.settings import Settings

TIMEOUT_S = 30.0
DENIED_S = 3.0
"""A refusal must last this long: a broker that starts may not know its users yet."""
CLOSED_S = 10.0
"""So must connections that are closed without a word, as by one that speaks TLS to one that does
not."""
_LOOK_S = 0.5
#: Seconds after which it is said that this takes long, and between two sayings.
FIRST_WORD_S, WORD_S = 3.0, 10.0
_log = log.get("kafka.cluster")
_REFUSALS = (KafkaError._AUTHENTICATION, KafkaError._SSL)
#: In TLS 1.3 a client's certificate is refused only when it thinks that it is connected.
_REFUSED = "SSL routines"
_CLOSED = "Disconnected: "
_CLIENT_CERTIFICATE = ("certificate required", "bad certificate", "handshake failure", "unknown ca")
_HELP = {
    KafkaError._AUTHENTICATION: "check SENTINEL_KAFKA_SASL_USERNAME, SENTINEL_KAFKA_SASL_PASSWORD "
    "and SENTINEL_KAFKA_SASL_MECHANISM",
    KafkaError._SSL: "SENTINEL_KAFKA_SSL_CA must name the PEM file of the authority that signed "
    "the broker's certificate, which must be for the host in SENTINEL_KAFKA",
    KafkaError._RESOLVE: "check the host names in SENTINEL_KAFKA",
}
_HELP_CLOSED = "SENTINEL_KAFKA_SECURITY_PROTOCOL must be that of the broker's listener"
_HELP_CERTIFICATE = (
    "SENTINEL_KAFKA_SSL_CERTIFICATE and SENTINEL_KAFKA_SSL_KEY must be PEM files that the broker "
    "trusts"
)
_HELP_AWAY = "is it up (`sentinel status`), and do SENTINEL_KAFKA_* fit it?"


class Cluster(NamedTuple):
    """A broker that answers, and the partitions of each of its topics."""

    admin: AdminClient
    topics: dict[str, int]


class _Troubles(logging.Handler):
    """What librdkafka said meanwhile, as errors and in its log."""

    def __init__(self) -> None:
        super().__init__()
        self.last: Any = None
        self.refusal: Any = None
        self.closed = False
        self._refused_at = self._closed_at = math.inf
        self.log = logging.Logger("librdkafka")  # noqa: LOG001 - one that nobody else hears
        self.log.addHandler(self)

    def note(self, error: Any) -> None:
        """Take an error; called by librdkafka."""
        if error.code() in _REFUSALS or _REFUSED in str(error):
            self._refused_at = min(self._refused_at, time.monotonic())
            self.refusal = error
        elif error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last = error

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line of the log: that a connection was closed is no error to librdkafka."""
        if _CLOSED in record.getMessage():
            self._closed_at = min(self._closed_at, time.monotonic())
            self.closed = True

    def config(self) -> dict[str, Any]:
        """Return the settings of a client that tells it all."""
        return {"error_cb": self.note, "logger": self.log, "log.connection.close": True}

    @property
    def settled(self) -> bool:
        """Whether waiting any longer is of no use."""
        now = time.monotonic()
        return now - self._refused_at >= DENIED_S or now - self._closed_at >= CLOSED_S


def reach(settings: Settings, timeout_s: float = TIMEOUT_S) -> Cluster:
    """Return the broker's admin client and topics, as soon as it answers.

    Raises
    ------
    KafkaError
        It does not within `timeout_s` seconds, has refused us for `DENIED_S` or hung up on us
        for `CLOSED_S`; the message has its words, and the settings to look at.
    SettingsError
        The settings of ``SENTINEL_KAFKA_*`` do not go together, or name no readable file.
    """
    seen, began, next_word = _Troubles(), time.monotonic(), FIRST_WORD_S
    try:
        admin = AdminClient(client_config(settings) | seen.config())
    except KafkaException as error:
        raise errors.SettingsError(
            f"expected settings SENTINEL_KAFKA_* that librdkafka takes, found: {_said(error)}"
        ) from error
    while True:
        try:
            topics = admin.list_topics(timeout=_LOOK_S).topics
        except KafkaException as error:
            admin.poll(0)
            waited = time.monotonic() - began
            if seen.settled or waited >= timeout_s:
                raise _failure(settings, seen, error, waited) from error
            if waited >= next_word:
                _log.warning("waits for Kafka", action="reach", address=settings.kafka,
                          waited_s=round(waited), at_most_s=round(timeout_s))  # fmt: skip
                next_word += WORD_S
            continue
        return Cluster(admin, {name: len(topic.partitions) for name, topic in topics.items()})


def _failure(
    settings: Settings, seen: _Troubles, error: KafkaException, waited_s: float
) -> errors.KafkaError:
    """Return what to raise: what was expected, what the broker said, what to do."""
    where, user = settings.kafka, settings.kafka_sasl_username
    if seen.refusal is not None:
        whom = f"the user {user!r}" if user else "us"
        wanted = f"expected the broker at {where} to let {whom} in"
        return errors.KafkaError(f"{wanted}, found: {_said(seen.refusal)}; {_help(seen.refusal)}")
    wanted = f"expected an answer of the broker at {where} within {waited_s:.0f} s"
    if seen.closed:
        spoken = settings.kafka_security_protocol.upper()
        found = f"that it closes connections that speak {spoken}; {_HELP_CLOSED}"
        return errors.KafkaError(f"{wanted}, found {found}")
    return errors.KafkaError(f"{wanted}, found: {_said(seen.last or error)}; {_help(seen.last)}")


def _said(error: Any) -> str:
    """Return librdkafka's words without the repetitions that it adds."""
    inner = error.args[0] if isinstance(error, KafkaException) else error
    text = str(inner.str() if isinstance(inner, KafkaError) else inner)
    return " ".join(text.partition(" (after ")[0].split())


def _help(trouble: Any) -> str:
    """Return which settings to look at."""
    if trouble is None:
        return _HELP_AWAY
    if any(word in str(trouble).lower() for word in _CLIENT_CERTIFICATE):
        return _HELP_CERTIFICATE
    code = KafkaError._SSL if _REFUSED in str(trouble) else trouble.code()
    return _HELP.get(code, _HELP_AWAY)
