"""Commands as JSON: once each, none that is old; events to commands."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci.stimulator.audit import Audit, verify
from bci.stimulator.clock import ManualClock
from bci.stimulator.closed_loop import LoopRule, respond
from bci.stimulator.rig import MOST_AGE_MS, MOST_SEEN, Command, Rig
from sentinel.errors import SchemaError

NOW = 1_700_000_000_000


def command(number: int, call: str, device: str = "a", at: int = NOW, **arguments: Any) -> Command:
    return Command(f"c{number}", device, call, arguments, at)


def ready(rig: Rig) -> None:
    """Connect a device and set a pattern."""
    pattern = {
        "configID": 1, "afcf": 1, "pulses": 10, "amp1": 50, "amp2": 50,
        "width1": 200, "width2": 200, "frequency": 100, "interphase": 53,
    }  # fmt: skip
    calls = (("setDevice", {"index": 0}), ("connect", {}), ("configureStimulusPattern", pattern))
    for number, (name, arguments) in enumerate(calls):
        outcome = rig.obey(command(-1 - number, name, **arguments), NOW)
        assert outcome is not None
        assert outcome["result"] == 0, outcome


def test_a_command_is_made_once_and_its_outcome_says_what_the_device_said():
    rig = Rig(clock=ManualClock)
    ready(rig)
    order = command(1, "manualStimulus", electrode=7, configID=1)

    outcome = rig.obey(order, NOW + 5)

    assert outcome is not None
    assert outcome["result"] == 0
    assert outcome["state"]["connected"] is True
    assert outcome["state"]["patterns"] == [1]
    assert rig.obey(order, NOW + 6) is None
    stimuli = [record for _, record in rig.records() if record["kind"] == "stimulus"]
    assert [each["electrode"] for each in stimuli] == [7]
    assert rig.records() == []


def test_a_command_that_is_old_is_not_made():
    rig = Rig(clock=ManualClock)
    ready(rig)
    outcome = rig.obey(command(1, "manualStimulus", electrode=7, configID=1), NOW + MOST_AGE_MS + 1)
    assert outcome is not None
    assert outcome["result"] is None
    assert "ms old" in outcome["refused"]
    assert not any(record["kind"] == "stimulus" for _, record in rig.records())


def test_what_was_made_is_remembered_by_whoever_takes_over():
    rig = Rig(clock=ManualClock)
    ready(rig)
    other = Rig(clock=ManualClock)
    other.remember(rig.seen())
    assert other.obey(command(-1, "setDevice", index=0), NOW) is None
    outcome = other.obey(command(9, "readSequenceStatus"), NOW)
    assert outcome is not None
    assert outcome["state"]["connected"] is False  # it begins as one that was switched on


def test_every_device_has_a_file_that_another_process_goes_on_with(tmp_path):
    for _ in range(2):
        rig = Rig(clock=ManualClock, folder=tmp_path / "stimuli")
        for number, device in enumerate(("a/b", "a_b")):
            rig.obey(command(2 * number, "setDevice", device, index=0), NOW)
            rig.obey(command(2 * number + 1, "testElectrodes", device), NOW)
    files = sorted((tmp_path / "stimuli").iterdir())
    assert len(files) == 2
    assert all(file.name.startswith("a_b-") for file in files)
    assert [verify(file) for file in files] == [4, 4]
    with files[0].open("ab") as file:
        file.write(b'{"cut off')
    Audit(files[0]).write("call", 0, name="connect")
    assert files[0].read_bytes().count(b"\n") == 6


def test_what_is_kept_is_bounded():
    rig = Rig(clock=ManualClock)
    for number in range(MOST_SEEN + 10):
        rig.obey(command(number, "libVersion", device=f"d{number % 70}"), NOW)
    assert len(rig.seen()) == MOST_SEEN
    assert rig.dropped > 0


@given(st.binary(max_size=60) | st.sampled_from([b"[" * 5000, b"null", b'{"id":1}']))
def test_any_bytes_are_a_command_or_refused(data):
    with suppress(SchemaError):
        assert Command.decode(data).id


def event(samples: list[int], channels: list[int], **more: Any) -> dict[str, Any]:
    kind = {"kind": "spike_batch", "session": "s", "bank": 0, "fs": 30_000.0}
    return kind | {"sample": samples, "channel": channels, "last": max(samples, default=0)} | more


RULE = LoopRule("r", electrode=3, config=1, spikes=3, window_ms=1.0, hold_ms=10.0)


def test_so_many_spikes_within_the_window_call_for_one_stimulus():
    state, found = respond([RULE], {}, event([0, 40, 70], [0, 1, 2]), NOW)
    assert found == []  # the first is 2.3 ms before the last
    _, found = respond([RULE], state, event([75, 80, 85, 90], [0] * 4), NOW)
    (order,) = found
    assert order["id"] == "s/0/r/80"
    assert order["call"] == "manualStimulus"
    assert order["arguments"] == {"electrode": 3, "configID": 1}
    assert Command(**order).device == "cerestim"


def test_only_the_rules_channels_count_and_other_kinds_are_enough_by_themselves():
    rule = LoopRule("c", 3, 1, channels=frozenset({5}), spikes=2)
    assert respond([rule], {}, event([0, 1, 2], [4, 5, 4]), NOW)[1] == []
    burst = LoopRule("b", 3, 1, kind="burst", hold_ms=100.0)
    state, found = respond([burst], {}, event([], [], kind="burst", last=900), NOW)
    assert [each["id"] for each in found] == ["s/0/b/900"]
    later = event([], [], kind="burst", last=1900)
    assert respond([burst], state, later, NOW)[1] == []


@settings(max_examples=200)
@given(
    st.lists(st.integers(0, 3000), max_size=60).map(sorted),
    st.lists(st.integers(0, 60), max_size=5).map(sorted),
)
def test_cuts_between_events_change_nothing_and_holds_are_kept(samples, cuts):
    whole = respond([RULE], {}, event(samples, [0] * len(samples)), NOW)[1]

    state, parts = {}, []
    for first, last in zip([0, *cuts], [*cuts, len(samples)], strict=True):
        given_now = samples[first:last]
        state, found = respond([RULE], state, event(given_now, [0] * len(given_now)), NOW)
        parts += found

    assert parts == whole
    times = [int(each["id"].rpartition("/")[2]) for each in whole]
    assert all(b - a >= 300 for a, b in itertools.pairwise(times))


@pytest.mark.parametrize("broken", [{}, {"kind": "spike_batch"}, {"kind": "burst", "fs": 0}])
def test_events_without_what_is_needed_call_for_nothing(broken):
    assert respond([RULE, LoopRule("b", 1, 1, kind="burst")], {}, broken, NOW)[1] == []
