"""Inputs at work on a real broker: nothing lost, the position kept, one runner at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from connectors._reading.base import (
    DeniedError,
    Listed,
    Page,
    Position,
    Reader,
    ReaderSettings,
    Record,
    SourceError,
)
from connectors._reading.files import FilesReader, FilesSettings
from connectors._reading.tailing.reader import TailReader, TailSettings
from connectors._running import work as working
from connectors._running.config import Input
from connectors._running.positions import Positions
from connectors._running.work import Work
from connectors.cloudtrail import CloudTrail
from sentinel import topics
from sentinel.errors import FencedError, KafkaError
from sentinel.kafka import create_topics
from sentinel.settings import Settings

WAIT_S = 60
Read = Callable[..., list[Any]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "FIRST_S", 0.01)


@pytest.fixture
def settings(stack_settings: Settings) -> Settings:
    create_topics(stack_settings, ["cloudtrail"])
    return stack_settings


def of_tenant(tenant: str) -> Callable[[Any], bool]:
    return lambda message: ("tenant", tenant.encode()) in (message.headers() or ())


def header(message: Any, name: str) -> str:
    return dict(message.headers())[name].decode()


def make(name: str, reader: type[Reader], settings: ReaderSettings) -> Input:
    """Return an input whose tenant is its name, so that its records are told from others."""
    return Input(name, "cloudtrail", "files", name, settings, CloudTrail, reader)


def run_once(settings: Settings, target: Input, **more: Any) -> Work:
    work = Work(settings, target, once=True, **more)
    work.start()
    work.join(WAIT_S)
    assert not work.is_alive()
    return work


@pytest.mark.e2e
def test_records_arrive_with_their_ids_and_reading_goes_on(
    settings: Settings, arrived: Read, topic_name: str, tmp_path: Path
) -> None:
    log = tmp_path / "trail.log"
    log.write_text("".join(f'{{"n":{number}}}\n' for number in range(9000)))
    target = make(topic_name, TailReader, TailSettings(paths=[str(log)]))
    assert run_once(settings, target).failed == ""
    with log.open("a") as file:
        file.write('{"n":9000}\n')
    assert run_once(settings, target).failed == ""

    found = arrived("raw.cloudtrail", of_tenant(topic_name))
    assert sorted(json.loads(each.value())["n"] for each in found) == list(range(9001))
    assert len({header(each, "record-id") for each in found}) == 9001


@pytest.mark.e2e
def test_since_reads_again_with_the_same_ids(
    settings: Settings, arrived: Read, topic_name: str, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text('[{"n":1},{"n":2}]')
    target = make(topic_name, FilesReader, FilesSettings(paths=[tmp_path], settle_s=0))
    run_once(settings, target)
    run_once(settings, target)
    run_once(settings, target, since=datetime(2020, 1, 1, tzinfo=UTC))

    found = arrived("raw.cloudtrail", of_tenant(topic_name))
    assert len(found) == 4
    assert len({header(each, "record-id") for each in found}) == 2
    listed = arrived(topics.ARRIVALS, lambda m: m.key().startswith(f"{topic_name}/".encode()))
    reader = target.open()
    (there,) = reader.listing(datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC))
    assert {each.key().decode().partition("\n")[2] for each in listed} == {there.id}


@pytest.mark.e2e
def test_of_two_runners_only_the_later_advances(settings: Settings, topic_name: str) -> None:
    first, second = Positions(settings, topic_name), Positions(settings, topic_name)
    assert first.claim() is None
    first.save({"at": 1})
    assert second.claim() == {"at": 1}
    second.save({"at": 2})
    with pytest.raises(FencedError, match="another runner"):
        first.save({"at": 9})
    third = Positions(settings, topic_name)
    assert third.claim() == {"at": 2}
    for each in (first, second, third):
        each.close()


class Script(Reader):
    """Does what the test says: pages to yield, errors to raise."""

    steps: ClassVar[list[Any]] = []
    seen: ClassVar[list[Any]] = []

    def read(self, position: Position | None) -> Iterator[Page]:
        start = position["at"] if position else 0
        for number, step in enumerate(self.steps[start:], start):
            if isinstance(step, Exception):
                self.steps[number] = []  # the next time all is well
                raise step
            if isinstance(step, type):
                raise step("no right: s3:GetObject")
            yield Page(step, {"at": number + 1})
            self.seen.append(number)

    def listing(self, since: datetime, until: datetime) -> Iterator[Listed]:
        yield from ()


def scripted(name: str, *steps: Any) -> Input:
    reader = type("Scripted", (Script,), {"steps": list(steps), "seen": []})
    return make(name, reader, ReaderSettings(poll_s=0.01))


@pytest.mark.e2e
def test_an_input_that_fails_goes_on_from_its_position(
    settings: Settings, arrived: Read, topic_name: str
) -> None:
    target = scripted(
        topic_name,
        [Record(b"{}", "a#0")],
        SourceError("throttled", retry_after_s=0.01),
        [Record(b"{}", "b#0")],
        ValueError("a bug"),
        DeniedError("expired"),
        [Record(b"{}", "c#0"), Record(b"", "c#1", problem="damaged: expected more")],
    )
    assert run_once(settings, target).failed == ""
    # a page's `yield` comes back only when it was delivered
    found = arrived("raw.cloudtrail", of_tenant(topic_name))
    assert sorted(header(each, "record-id") for each in found) == ["a#0", "b#0", "c#0", "c#1"]
    (damaged,) = [each for each in found if "record-problem" in dict(each.headers())]
    assert header(damaged, "record-problem") == "damaged: expected more"


@pytest.mark.e2e
def test_an_input_that_only_fails_is_given_up_and_says_why(
    settings: Settings, topic_name: str
) -> None:
    work = run_once(settings, scripted(topic_name, DeniedError))
    assert "s3:GetObject" in work.failed
    assert not work.health().ok


@pytest.mark.e2e
def test_a_record_that_is_too_large_becomes_a_letter_to_be(
    settings: Settings, arrived: Read, topic_name: str
) -> None:
    target = scripted(topic_name, [Record(b"x" * (17 << 20), "big#0"), Record(b"{}", "small#0")])
    assert run_once(settings, target).failed == ""
    big, small = sorted(
        arrived("raw.cloudtrail", of_tenant(topic_name)), key=lambda m: header(m, "record-id")
    )
    assert header(big, "record-problem").startswith("too_large: expected a record of at most")
    assert len(big.value()) < 1 << 20
    assert small.value() == b"{}"


@pytest.mark.e2e
def test_a_page_waits_for_its_topic(
    settings: Settings, arrived: Read, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a socket said cannot be read again: the page itself is delivered again."""
    failing = threading.Event()
    save = Positions.save

    def fail_once(self: Positions, position: Position) -> None:
        if not failing.is_set():
            failing.set()
            raise KafkaError("the broker is away")
        save(self, position)

    monkeypatch.setattr(Positions, "save", fail_once)
    target = scripted(topic_name, [Record(b"{}", "a#0")])
    assert run_once(settings, target).failed == ""
    assert target.reader.seen == [0]  # type: ignore[attr-defined]
    assert len(arrived("raw.cloudtrail", of_tenant(topic_name))) == 2  # twice, with one id


@pytest.mark.parametrize("waits", [True, False])
def test_asked_to_stop_a_page_is_finished_where_it_cannot_be_read_again(
    waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = scripted("stop", [Record(b"{}", "a#0")], [Record(b"{}", "b#0")])
    monkeypatch.setattr(target.reader, "waits", waits)
    work = Work(Settings(), target)
    delivered: list[Page] = []
    monkeypatch.setattr(work, "_claimed", lambda: SimpleNamespace(deliver=delivered.append))
    work.stop()
    work._round()
    assert len(delivered) == (2 if waits else 0)
