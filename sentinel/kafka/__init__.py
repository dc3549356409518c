"""Kafka for everything but the Faust transport: client settings, the producer, the topics.

Delivery semantics of `Producer`: at least once and in order per partition
(``enable.idempotence``, ``acks=all``); nothing counts as sent before `Producer.flush`
returned. Topics are created by `create_topics` alone, which ``sentinel topics create``
and the embedded stack call: no client built here lets a broker create one in passing.
"""

from sentinel.kafka.admin import TopicState, create_topics, describe_topics
from sentinel.kafka.cluster import reach
from sentinel.kafka.config import client_config
from sentinel.kafka.producer import DeliveryError, Failure, Producer

__all__ = [
    "DeliveryError",
    "Failure",
    "Producer",
    "TopicState",
    "client_config",
    "create_topics",
    "describe_topics",
    "reach",
]
