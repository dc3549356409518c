"""Pub/Sub, pulled by Google's real client over HTTP from a double."""

import pytest

from connectors._google.reading.pubsub import PubSubReader, PubSubSettings
from connectors._reading.base import DeniedError, SourceError
from connectors.gcp_scc import GcpScc
from sentinel.testing.draining import Drain
from sentinel.testing.google import PubSubDouble
from sentinel.testing.server import cut, expired, failed, malformed, throttled

NAME = "projects/shop-1/subscriptions/findings"


@pytest.fixture
def double(server, login):
    made = PubSubDouble(server, login.tokens, NAME)
    made.waiting = {str(n): b'{"n": %d}' % n for n in range(10)}
    return made


@pytest.fixture
def drain(account, double):
    settings = PubSubSettings(subscription=NAME, **account)
    return Drain(lambda: PubSubReader(settings, GcpScc()), SourceError)


WANTED = [f"pubsub:{NAME}/{n}" for n in range(10)]


def test_messages_are_acknowledged_only_once_they_are_safe(drain, double):
    drain.run(pages=2)
    assert len(double.waiting) == 7  # the second page reached the broker, its position did not

    drain.run()
    assert double.waiting == {}
    assert sorted(set(drain.ids)) == WANTED
    assert drain.records[0].value == b'{"n": 0}'


def test_failures_lose_nothing(server, drain):
    pull, ack = f"/v1/{NAME}:pull", f"/v1/{NAME}:acknowledge"
    server.script(pull, None, throttled(9), failed(500), expired(), cut(), malformed())
    server.script(ack, None, failed(503))
    drain.run(tries=20)

    assert sorted(set(drain.ids)) == WANTED
    assert 9.0 in [error.retry_after_s for error in drain.errors]
    assert not [error for error in drain.errors if isinstance(error, DeniedError)]


def test_empty_messages_are_counted(drain, double, account):
    double.waiting = {"1": b""}
    reader = PubSubReader(PubSubSettings(subscription=NAME, **account), GcpScc())
    [page] = reader.read(None)
    reader.close()

    assert (list(page.records), page.skipped) == ([], {"empty": 1})


def test_check_takes_no_message_away(server, account, double):
    reader = PubSubReader(PubSubSettings(subscription=NAME, **account), GcpScc())
    assert [check.detail for check in reader.check()] == [
        "of the topic projects/shop-1/topics/audit"
    ]

    server.script(f"/v1/{NAME}", failed(403, {"error": {"code": 403, "message": "no"}}))
    [check] = reader.check()
    reader.close()
    assert not check.ok
    assert "roles/pubsub.subscriber" in check.detail
    assert len(double.waiting) == 10
