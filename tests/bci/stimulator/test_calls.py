"""The boundary: any name and any arguments give a code of the device, never an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bci.stimulator import CereStim96, ManualClock, Result, Status, call
from bci.stimulator.audit import Audit, Record, verify
from bci.stimulator.calls import NAMES, SIGNATURES
from bci.stimulator.safety import SafetySettings
from bci.stimulator.script import MOST_COMMANDS

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
#: Numbers at which calls change their mind.
NUMBERS = st.sampled_from([0, 1, 2, 3, 7, 15, 16, 17, 50, 53, 96, 97, 100, 200, 65_535, 2**32 - 1])


def test_every_call_of_the_api_is_there():
    assert len(NAMES) == 40
    assert set(SIGNATURES) == set(NAMES)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(NAMES) | ANY, st.dictionaries(st.text(max_size=9), ANY, max_size=4) | ANY)
def test_anything_gives_a_code(name: Any, arguments: Any):
    device = CereStim96()
    device.set_device(0)
    device.connect()
    answer = call(device, name, arguments)
    assert isinstance(answer.result, Result)
    json.dumps(answer.output)


class Machine(RuleBasedStateMachine):
    """Calls in any order, with arguments that are often right."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.records: list[Record] = []
        safety = SafetySettings(electrode_nc_s=1000.0, total_nc_s=3000.0)
        self.device = CereStim96(self.clock, Audit(tell=self.records.append), safety=safety)
        self.device.set_device(0)
        self.device.connect()
        self.device.configure_stimulus_pattern(1, 1, 3, 50, 50, 200, 200, 100, 53)

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def any_call(self, name: str, data: st.DataObject) -> None:
        known, _ = SIGNATURES[name]
        arguments = {
            key: data.draw(st.lists(NUMBERS, max_size=3) if listed else NUMBERS)
            for key, listed in known.items()
        }
        answer = call(self.device, name, arguments)
        assert isinstance(answer.result, Result)
        json.dumps(answer.output)

    @rule(
        names=st.lists(st.sampled_from(["a", "g", "e", "w"]), max_size=9), times=st.integers(0, 9)
    )
    def write_and_play(self, names: list[str], times: int) -> None:
        self.device.beginning_of_sequence()
        for number, name in enumerate(names):
            if name == "a":
                self.device.auto_stimulus(1 + number, 1)
            elif name == "w":
                self.device.wait(number)
            else:
                (self.device.beginning_of_group if name == "g" else self.device.end_of_group)()
        self.device.end_of_sequence()
        self.device.play(times)

    @rule(ms=st.integers(0, 3000))
    def time_passes(self, ms: int) -> None:
        self.clock.sleep(1000 * ms)
        self.device.read_sequence_status()

    @rule(level=st.integers(0, 1))
    def wire(self, level: int) -> None:
        self.device.ttl(level)

    @invariant()
    def limits_hold(self) -> None:
        state = self.device.state
        assert state.script.written <= MOST_COMMANDS
        assert isinstance(state.status, Status)
        assert not (state.locked and state.status is Status.PLAYING)

    @invariant()
    def stimuli_are_safe(self) -> None:
        """Look at all stimuli: in order of time, balanced, and never too much in a second."""
        stimuli = [r for r in self.records if r["kind"] == "stimulus" and r["origin"] != "test"]
        pulses = sorted(
            (r["at_us"] + 1_000_000 * n // r["frequency"], r["electrode"], r["charge_pc"])
            for r in stimuli
            for n in range(r["pulses"])
        )
        assert all(r["amp1"] * r["width1"] == r["amp2"] * r["width2"] for r in stimuli)
        locked = {r["at_us"] for r in self.records if r["kind"] == "locked"}
        for first, (at, _, _) in enumerate(pulses):
            second = [p for p in pulses[first:] if p[0] < at + 1_000_000]
            if not locked:
                assert sum(p[2] for p in second) <= 3_000_000


def test_calls_in_any_order_keep_the_limits():
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("explode", {}, "INVALID_COMMAND"),
        ("_settle", {}, "INVALID_COMMAND"),
        ("ttl", {"level": 1}, "INVALID_COMMAND"),
        ("manualStimulus", {}, "INVALID_PARAMS"),
        ("manualStimulus", {"electrode": 1}, "INVALID_PARAMS"),
        ("manualStimulus", {"electrode": "1", "configID": 1}, "INVALID_PARAMS"),
        ("manualStimulus", {"electrode": True, "configID": 1}, "INVALID_PARAMS"),
        ("manualStimulus", {"electrode": -1, "configID": 1}, "INVALID_PARAMS"),
        ("manualStimulus", {"electrode": 1, "configID": 1, "more": 1}, "INVALID_PARAMS"),
        ("manualStimulus", {"electrode": [1], "configID": 1}, "INVALID_PARAMS"),
        ("wait", {"milliseconds": 2**32}, "INVALID_PARAMS"),
        ("manualStimulus", {"electrode": 1, "configID": 1}, "EMPTY_CONFIG"),
    ],
)
def test_what_the_type_cannot_hold_is_refused_before_the_device(name, arguments, code):
    device = CereStim96()
    device.set_device(0)
    device.connect()
    assert call(device, name, arguments).result.name == code


def test_all_but_reading_is_audited_and_the_file_shows_changes(tmp_path):
    path = tmp_path / "audit.jsonl"
    told: list[Record] = []
    for _ in range(2):  # a second process goes on where the first one ended
        device = CereStim96(ManualClock(), Audit(path, told.append))
        call(device, "setDevice", {"index": 0})
        call(device, "connect")
        call(device, "readSequenceStatus")
        call(device, "manualStimulus", {"electrode": 5, "configID": 1})
        call(device, "testElectrodes")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert lines == told
    assert len(lines) == 2 * (4 + 96)
    names = [line["name"] for line in lines if line["kind"] == "call"]
    assert names == ["setDevice", "connect", "manualStimulus", "testElectrodes"] * 2
    assert lines[2]["result"] == -121
    assert verify(path) == len(lines)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"electrode":50', b'"electrode":51', 1))
    assert verify(path) < len(lines)
    rows = content.splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:10] + rows[11:]))
    assert verify(path) == 10
