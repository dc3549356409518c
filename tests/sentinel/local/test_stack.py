"""The embedded parts answer, keep their data, come back after a crash and leave nothing."""

from __future__ import annotations

import psycopg
from confluent_kafka.admin import AdminClient


def test_both_parts_answer(kafka, stack):
    assert AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).brokers
    with psycopg.connect(stack.postgres) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
