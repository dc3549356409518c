"""The whole platform on a Kafka with TLS and passwords, and a PostgreSQL with TLS, of one's own."""

from __future__ import annotations

import asyncio
import json
import os
from urllib.request import Request, urlopen

import pytest

from sentinel import kafka, postgres
from sentinel.errors import KafkaError, StackError
from sentinel.kafka import Producer, cluster, create_topics, reach
from sentinel.kafka.tail import tail
from sentinel.settings import Settings
from tests.e2e.conftest import Platform
from tests.e2e.secured import PASSWORD, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """Yield what runs: a Kafka and a PostgreSQL that trust nobody without proof."""
    with running(tmp_path_factory.mktemp("secured")) as made:
        yield made


@pytest.fixture(scope="module")
def platform(secured, tmp_path_factory):
    """Yield a platform whose Kafka and PostgreSQL are those, started as the README says."""
    home = tmp_path_factory.mktemp("platform")
    env = {k: v for k, v in os.environ.items() if not k.startswith("SENTINEL_")}
    env |= {f"SENTINEL_{k.upper()}": value for k, value in secured.sasl_settings().items()}
    env |= {"SENTINEL_POSTGRES": secured.verified(secured.trusted)}
    env |= {"SENTINEL_HOME": str(home), "SENTINEL_API_PORT": "0", "COLUMNS": "200"}
    started = Platform(env, home)
    started.run("up", "--detach")
    yield started
    started.run("down")


def test_everything_works_over_tls_and_passwords(platform, secured, tmp_path):
    """Topics, schema, push, stages, sinks, ledger, API: each speaks to both."""
    said = platform.last.stderr.decode()
    for secret in (PASSWORD, secured.postgres.partition("@")[0].rpartition(":")[2]):
        assert secret not in said
        assert secret not in platform.run("status").decode()
    parts = {row["part"]: row["state"] for row in platform.json("status")}
    assert parts["kafka"] == parts["postgres"] == "external"
    assert parts["worker"] == parts["api"] == "ready"

    platform.run("sample", "--out", str(tmp_path))
    pushed = platform.json("push", str(tmp_path / "auditd.log"), "--source", "auditd", "--wait")
    assert pushed[0]["pushed"]
    assert platform.json("alerts")
    assert platform.balance() == 0
    assert all(row["exists"] for row in platform.json("topics"))

    api = json.loads((platform.home / "stack.json").read_text())["api"]
    token = (platform.home / "api-token").read_text().strip()
    for part in ("kafka", "db", "ml"):
        asked = Request(f"{api}/health/{part}", headers={"Authorization": f"Bearer {token}"})
        with urlopen(asked, timeout=120) as answer:
            assert json.load(answer)["ok"], part


def test_a_command_with_a_wrong_password_fails_and_says_why(platform):
    other = Platform(platform.env | {"SENTINEL_KAFKA_SASL_PASSWORD": "wrong"}, platform.home)
    for command in (["push", "-", "--source", "auditd"], ["worker"]):
        other.run(*command, check=False, stdin=b"")
        said = other.last.stderr.decode()
        assert other.last.returncode == 1
        assert "expected the broker" in said
        assert "invalid credentials" in said
        assert "check SENTINEL_KAFKA_SASL_USERNAME" in said
        assert "Traceback" not in said


WRONG = {
    "another user": ({"sasl_username": "eve"}, "the user 'eve' in, found: .*invalid credentials"),
    "another mechanism": ({"sasl_mechanism": "SCRAM-SHA-256"}, "supported mechanisms: PLAIN,SCRAM"),
    "no authority": ({"ssl_ca": ""}, "certificate verify failed.* SENTINEL_KAFKA_SSL_CA must name"),
    "no certificate": ({"": "tls"}, "certificate required.* SENTINEL_KAFKA_SSL_CERTIFICATE and"),
    "no TLS": (
        {"security_protocol": "SASL_PLAINTEXT", "ssl_ca": ""},
        "closes connections that speak SASL_PLAINTEXT; SENTINEL_KAFKA_SECURITY_PROTOCOL must",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_broker_does_not_take_is_named(secured, monkeypatch, name):
    monkeypatch.setattr(cluster, "DENIED_S", 0.2)
    if name == "no TLS":  # else a refusal may come after the first closed connection
        monkeypatch.setattr(cluster, "CLOSED_S", 0.5)
    changes, expected = WRONG[name]
    given = secured.sasl_settings()
    if name == "no certificate":
        given = {"kafka": secured.tls, "kafka_security_protocol": "SSL"}
        changes = {"ssl_ca": str(secured.trusted.path)}
    given |= {f"kafka_{key}": value for key, value in changes.items()}
    with pytest.raises(KafkaError, match=expected):
        reach(Settings(**given))


def test_a_certificate_nobody_signed_is_not_trusted(secured, monkeypatch):
    monkeypatch.setattr(cluster, "DENIED_S", 0.2)
    given = secured.sasl_settings() | {"kafka_ssl_ca": str(secured.stranger.path)}
    with pytest.raises(KafkaError, match="certificate verify failed"):
        reach(Settings(**given))
    with pytest.raises(StackError, match=r"certificate verify failed.*sslrootcert"):
        asyncio.run(postgres.open_pool(secured.verified(secured.stranger), postgres.WORKER))


@pytest.mark.parametrize("proof", ["PLAIN", "certificate"])
def test_other_proofs_are_taken_too(secured, platform, proof):
    """A name and a password in another mechanism, or a certificate alone (mutual TLS)."""
    given = secured.sasl_settings() | {"kafka_sasl_mechanism": "PLAIN"}
    if proof == "certificate":
        certificate, key, _ = secured.trusted.sign("client")
        given = {
            "kafka": secured.tls,
            "kafka_security_protocol": "SSL",
            "kafka_ssl_ca": str(secured.trusted.path),
            "kafka_ssl_certificate": str(certificate),
            "kafka_ssl_key": str(key),
        }
    settings = Settings(**given)
    assert create_topics(settings, ["auditd"]) == []
    topic = "feedback"
    with Producer(settings) as producer:
        producer.send(topic, b"said", key=proof.encode())
    assert [r.value for r in tail(settings, topic, proof.encode(), 10, 120)] == [b"said"]
    assert kafka.describe_topics(settings)
