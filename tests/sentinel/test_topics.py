"""Topics are made from the table, kept up to date, and never by accident."""

import json
import subprocess
import sys

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from sentinel import topics
from sentinel.errors import KafkaError
from sentinel.kafka import admin, client_config, create_topics, describe_topics
from sentinel.kafka.cluster import reach
from sentinel.settings import Settings


def test_the_table_is_consistent():
    writers = {row.writer for row in topics.TOPICS}
    assert len(topics.BY_NAME) == len(topics.TOPICS)
    for row in topics.TOPICS:
        assert row.retention_ms > 0 or row.compact
        assert row.max_bytes <= 64 * topics.MIB
        # those are for subscribers
        assert row.readers or row.name.startswith("neural.") or row.name == "feedback"
        assert row.schema == "raw" or row.schema.isidentifier()
    assert {"normalize", "detect", "correlate"} <= writers
    assert topics.source_of(topics.raw("cloudtrail")) == "cloudtrail"


def test_the_raw_family_becomes_one_topic_a_source():
    names = list(admin.expand(["auditd", "cloudtrail"]))
    assert names[:2] == ["raw.auditd", "raw.cloudtrail"]
    assert "raw.*" not in names
    assert list(admin.expand(["auditd"], ["events"])) == ["events"]
    with pytest.raises(KafkaError, match=r"found raw\.other"):
        admin.expand(["auditd"], ["raw.other"])


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("LEADER_NOT_AVAILABLE", True),
        ("UNKNOWN_LEADER_EPOCH", True),  # a broker that learns of a new topic later than we did
        ("TOPIC_AUTHORIZATION_FAILED", False),
    ],
)
def test_what_passes_by_itself_is_waited_for(name, waits):
    error = ck.KafkaException(ck.KafkaError(getattr(ck.KafkaError, name)))
    assert admin.passes(error) is waits


@pytest.mark.e2e
def test_creating_is_idempotent_and_mends_settings(stack_settings):
    settings = stack_settings.model_copy(update={"partitions": 3})
    name = "raw.test-create"
    assert create_topics(settings, ["test-create"], [name]) == [name]
    assert create_topics(settings, ["test-create"], [name]) == []

    broker = AdminClient(client_config(settings))
    for future in broker.create_partitions([NewPartitions(name, 5)]).values():
        future.result(30)
    damaged = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, name)
    damaged.incremental_configs = [
        admin.ConfigEntry("retention.ms", "1000", incremental_operation=admin.AlterConfigOpType.SET)
    ]
    for future in broker.incremental_alter_configs([damaged]).values():
        future.result(30)

    assert create_topics(settings, ["test-create"], [name]) == [name]
    state = next(s for s in describe_topics(settings) if s.name == name)
    assert state.exists
    assert state.partitions == 5
    assert state.start == state.end == [0] * 5
    assert state.retention_ms == topics.BY_NAME["raw.*"].retention_ms
    assert state.max_bytes == topics.BY_NAME["raw.*"].max_bytes
    assert state.readers == ("normalize",)


@pytest.mark.e2e
def test_missing_topics_are_shown_as_missing(stack_settings):
    states = {s.name: s for s in describe_topics(stack_settings, ["never-made"])}
    assert not states["raw.never-made"].exists
    assert states["raw.never-made"].partitions == 0


def test_unreachable_broker_is_an_error_that_says_so():
    with pytest.raises(KafkaError, match="sentinel status"):
        reach(Settings(kafka="127.0.0.1:1"), 0.5)


def sentinel(stack, *arguments):
    """Run the command line as a person would, against the shared stack."""
    return subprocess.run(
        [sys.executable, "-m", "sentinel.cli", *arguments],
        env=stack.env() | {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.e2e
def test_the_command_makes_and_lists_topics(stack):
    made = sentinel(stack, "topics", "create", "--json")
    assert made.returncode == 0, made.stderr
    assert set(json.loads(made.stdout)) == {"changed", "schemas"}
    again = sentinel(stack, "topics", "create", "--json")
    assert json.loads(again.stdout)["changed"] == []
    listed = sentinel(stack, "topics", "--json")
    rows = {row["name"]: row for row in map(json.loads, listed.stdout.splitlines())}
    assert rows["events"]["exists"]
    assert rows["events"]["readers"] == ["detect", "persist"]
    assert len(rows["raw.cloudtrail"]["end"]) == rows["raw.cloudtrail"]["partitions"] > 0
    assert sentinel(stack, "topics", "list").returncode == 0
