"""Fixtures for every test: one embedded Kafka and PostgreSQL for the whole session.

A test that kills a part starts a `Stack` of its own, since this one is shared.
``SENTINEL_KAFKA`` and ``SENTINEL_POSTGRES`` switch the embedded ones off here as elsewhere.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from sentinel import settings as settings_module
from sentinel.errors import StackError
from sentinel.local import Stack
from sentinel.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
#: Tables are as wide as on a wide terminal, also where there is none.
os.environ["COLUMNS"] = "200"
#: The first example may compile what it calls, and machines are slow: pytest limits each test.
hypothesis.settings.register_profile("sentinel", deadline=None)
hypothesis.settings.load_profile("sentinel")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield the shared stack, in a temporary SENTINEL_HOME; stopped when the session ends."""
    home = tmp_path_factory.mktemp("sentinel")
    running = Stack(settings_module.load().model_copy(update={"home": home}))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def kafka(stack: Stack) -> str:
    """Return the bootstrap servers of the shared Kafka."""
    return stack.kafka


@pytest.fixture(scope="session")
def postgres(stack: Stack) -> str:
    """Return the DSN of the owner of the shared database, migrated to the newest version."""
    from streams.runtime.migrate import apply

    apply(stack.postgres)
    return stack.postgres


@pytest.fixture(scope="session")
def elasticsearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of an Elasticsearch: that of the settings, else an embedded one alone."""
    settings = settings_module.load()
    if settings.elasticsearch:
        yield settings.elasticsearch
        return
    home = tmp_path_factory.mktemp("search")
    others = {"home": home, "kafka": "not-used:1", "postgres": "postgresql://not-used/x"}
    stack = Stack(settings.model_copy(update=others), search=True)
    try:
        stack.start()
    except StackError as error:
        if "needs a full Java" not in str(error):
            raise
        pytest.skip(str(error))
    yield stack.elasticsearch
    stack.stop()


@pytest.fixture
def stack_settings(stack: Stack) -> Settings:
    """Return settings that point at the shared stack, as a child process of it would read them."""
    return stack.settings.model_copy(
        update={"kafka": stack.kafka, "postgres": stack.postgres, "home": stack.home}
    )


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of real logs; the test is skipped where there is none."""
    folder = settings_module.load().data
    folder = folder if folder.is_absolute() else ROOT / folder
    if not folder.is_dir():
        pytest.skip(f"no real logs: {folder} is no directory (set SENTINEL_DATA)")
    return folder.resolve()


@pytest.fixture
def topic_name() -> str:
    """Return a topic name no other test uses."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def topic(kafka: str, topic_name: str) -> Callable[..., str]:
    """Make the topic `topic_name` with ``topic(partitions=1)`` and return its name."""
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin import NewTopic as New

    def make(partitions: int = 1, **config: str) -> str:
        admin = AdminClient({"bootstrap.servers": kafka})
        row = New(topic_name, num_partitions=partitions, replication_factor=1, config=config)
        for made in admin.create_topics([row]).values():
            made.result(30)
        return topic_name

    return make
