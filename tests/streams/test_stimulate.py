"""Commands of the topic reach the device; all that it does becomes a record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bci.stimulator.clock import ManualClock
from bci.stimulator.rig import Rig
from streams.runtime.stage import Output
from streams.stimulate import StimulateStage, StimulateTask
from streams.transport import RecordBatch
from streams.transport.batch import Lease

NOW = 1_700_000_000_000
PATTERN = {
    "configID": 1, "afcf": 1, "pulses": 10, "amp1": 50, "amp2": 50,
    "width1": 200, "width2": 200, "frequency": 100, "interphase": 53,
}  # fmt: skip
SETUP = [("setDevice", {"index": 0}), ("connect", {}), ("configureStimulusPattern", PATTERN)]


def value(number: int, call: str, arguments: dict[str, Any], at: int = NOW) -> bytes:
    order = {"id": f"c{number}", "device": "a", "call": call, "arguments": arguments}
    return json.dumps(order | {"time_ms": at}).encode()


def batch(*values: bytes, first: int = 0, tenant: bytes = b"") -> RecordBatch:
    count = len(values)
    return RecordBatch(
        Lease(("neural.commands", 0)),
        list(range(first, first + count)),
        [None] * count,
        list(values),
        [NOW] * count,
        [[("tenant", tenant)] if tenant else None for _ in values],
    )


def said(output: Output) -> list[dict[str, Any]]:
    return [json.loads(r.value) for r in output.records if r.topic == "neural.stimuli"]


def task() -> tuple[StimulateTask, ManualClock]:
    clock = ManualClock()
    return StimulateTask(Rig(clock=lambda: clock), lambda: NOW), clock


def setup(*more: tuple[str, dict[str, Any]]) -> list[bytes]:
    return [value(number, *call) for number, call in enumerate([*SETUP, *more])]


def test_outcomes_and_stimuli_become_records_of_the_device():
    made, _ = task()

    output = made.process(batch(*setup(("manualStimulus", {"electrode": 9, "configID": 1}))))

    found = said(output)
    outcomes = [each for each in found if each["kind"] == "outcome"]
    assert [each["id"] for each in outcomes] == ["c0", "c1", "c2", "c3"]
    assert [each["result"] for each in outcomes] == [0, 0, 0, 0]
    (stimulus,) = [each for each in found if each["kind"] == "stimulus"]
    assert (stimulus["device"], stimulus["electrode"]) == ("a", 9)
    assert {record.key for record in output.records} == {b"default/a"}
    (row,) = made.ledger.dump()
    assert (row["stage"], row["in"], row["out"]) == ("stimulate", 4, 4)


def test_a_replay_makes_nothing_again():
    made, _ = task()
    orders = setup(("manualStimulus", {"electrode": 9, "configID": 1}))
    made.process(batch(*orders))
    kept = made.snapshot()
    again, _ = task()
    again.restore(kept)

    for each in (made, again):
        assert said(each.process(batch(*orders, first=4))) == []


def test_tenants_have_devices_of_their_own():
    made, _ = task()
    made.process(batch(*setup()))

    output = made.process(batch(value(9, "play", {"times": 1}), first=9, tenant=b"other"))

    outcome = next(each for each in said(output) if each["kind"] == "outcome")
    assert outcome["name"] == "no_device_selected"
    assert output.records[-1].headers == {"tenant": "other"}
    assert output.records[-1].key == b"other/a"


def test_what_is_no_command_becomes_a_dead_letter():
    made, _ = task()

    output = made.process(batch(b"{", b'{"id": 1}', value(1, "libVersion", {})))

    letters = [record for record in output.records if record.topic == "dead_letter"]
    assert [record.value for record in letters] == [b"{", b'{"id": 1}']
    assert letters[0].headers["reason"] == "schema"
    assert said(output)[-1]["result"] == 0


@pytest.mark.parametrize(
    "odd",
    [
        {"id": "\ud800"},
        {"call": "\ud800"},
        {"call": "explode"},
        {"arguments": {"\ud800": 1, "\x00" * 90: 2}},
        {"arguments": {"times": 10**40, "b": [10**40]}},
        {"arguments": {"times": 1e300}, "time_ms": -(10**40)},
        {"time_ms": 10**40},
        {"device": "a/b/../c"},
    ],
)
def test_odd_values_never_stop_the_stage(odd):
    made, _ = task()
    order = json.loads(value(1, "play", {"times": 1})) | odd
    output = made.process(batch(json.dumps(order).encode(), value(2, "libVersion", {})))
    assert said(output)[-1]["id"] == "c2"
    assert len(output.records) in (2, 3)


def test_a_script_that_plays_is_told_of_between_commands():
    made, clock = task()
    script = [("beginningOfSequence", {}), ("autoStimulus", {"electrode": 2, "configID": 1}),
              ("endOfSequence", {}), ("play", {"times": 3})]  # fmt: skip
    assert not made.waiting()
    made.process(batch(*setup(*script)))
    assert made.waiting()
    clock.sleep(1_000_000)

    told = said(made.flush(7))

    assert [each["kind"] for each in told] == ["stimulus"] * 2  # the first came with `play`
    assert not made.waiting()


def test_the_stage_reads_commands():
    stage = StimulateStage()
    assert stage.topics() == ["neural.commands"]
    assert isinstance(stage.task("neural.commands", 0), StimulateTask)
