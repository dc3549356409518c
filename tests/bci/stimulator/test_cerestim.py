"""The simulated CereStim 96: limits, states, codes and the time that things take."""

from __future__ import annotations

import pytest

from bci.stimulator import CereStim96, Status
from bci.stimulator.codes import Answer, Result
from bci.stimulator.pattern import MACRO
from bci.stimulator.safety import SafetySettings


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"config_id": 0}, -105),
        ({"config_id": 16}, -105),
        ({"config_id": 15}, 0),
        ({"afcf": 2}, -110),
        ({"pulses": 0}, -111),
        ({"pulses": 256}, -111),
        ({"pulses": 255}, 0),
        ({"amp1": 0}, -109),
        ({"amp1": 216, "amp2": 216}, -109),
        ({"amp1": 215, "amp2": 215}, 0),
        ({"width1": 0}, -112),
        ({"width1": 65_536, "width2": 65_536}, -125),
        ({"frequency": 0}, -23),
        ({"frequency": 3}, -129),
        ({"frequency": 5001}, -129),
        ({"frequency": 5000, "width1": 50, "width2": 50}, 0),
        ({"frequency": 5000}, -113),
        ({"interphase": 52}, -114),
        ({"interphase": 65_536}, -114),
        ({"amp2": 49}, -122),
        ({"width2": 199}, -122),
        ({"amp2": 25, "width2": 400}, 0),
        # 65,535 µs between pulses at most: some 15 Hz for short ones
        ({"frequency": 15}, -129),
        ({"frequency": 16}, 0),
        ({"frequency": 4, "interphase": 65_000, "width1": 2000, "width2": 2000}, -129),
        ({"frequency": 8, "interphase": 65_000, "width1": 2000, "width2": 2000}, 0),
    ],
)
def test_patterns_are_taken_or_refused_with_the_devices_code(make, changes, code):
    assert make().set(**changes) == code


def test_a_macro_stimulator_has_other_amplitudes(make):
    bench = make(hardware=MACRO, safety=SafetySettings(area_um2=5e6))
    assert bench.set(amp1=99, amp2=99) == -109
    assert bench.set(amp1=10_000, amp2=10_000) == 0
    assert bench.device.get_min_max_amplitude().output == 10_000 << 16 | 100


def test_the_researchers_limits_come_before_the_devices(bench):
    answer = bench.device.stimulus_max_values(1, 10, 60, 12_000, 200)
    assert answer == Answer(
        Result.SUCCESS,
        {"voltage": 10, "amplitude": 60, "phaseCharge": 12_000, "frequency": 200},
    )
    assert bench.set(amp1=61, amp2=61) == -124
    assert bench.set(frequency=201) == -130
    assert bench.set(width1=241, width2=241) == -123
    assert bench.device.max_output_voltage(1, 11).result == -126
    assert bench.device.max_output_voltage(1, 6).result == -108
    assert bench.device.max_output_voltage(2).result == -107
    assert bench.device.max_output_voltage(1, 7).output == 4700
    assert bench.device.stimulus_max_values(1, 10, 216, 1, 100).result == -124
    assert bench.device.stimulus_max_values(1, 10, 10, 1, 5001).result == -130
    assert bench.device.stimulus_max_values(1, 16, 10, 1, 100).result == -108


def test_nothing_works_before_a_device_is_chosen_and_connected():
    device = CereStim96()
    assert device.play(1).result == -24
    assert device.lib_version().output["major"] == 5
    assert len(device.scan_for_devices().output) == 1
    assert device.is_safety_disabled().result == -24
    assert device.connect().result == -24
    assert device.set_device(1).result == -8
    assert device.set_device(0).result == 0
    assert device.play(1).result == -9
    assert device.connect(3).result == -5
    assert device.connect().result == 0
    assert device.connect().result == -10
    assert device.set_device(0).result == -10
    assert device.is_connected().output == 1
    assert device.disconnect().result == 0
    assert device.disconnect().result == -9
    assert device.read_hardware_values().result == -9


def test_a_device_with_other_modules_than_it_was_set_up_for_is_locked(make):
    bench = make(configured=False)
    assert bench.device.is_device_locked().output == 1
    assert bench.set() == -131
    assert bench.device.manual_stimulus(1, 1).result == -131
    assert bench.device.read_device_info().result == 0


def test_a_manual_stimulus_needs_a_channel_and_an_active_pattern(bench):
    device = bench.device
    assert device.manual_stimulus(0, 1).result == -104
    assert device.manual_stimulus(97, 1).result == -104
    assert device.manual_stimulus(1, 0).result == -105
    assert device.manual_stimulus(1, 2).result == -121
    assert device.manual_stimulus(96, 1).result == 0
    assert device.disable_stimulus_configuration(1).result == 0
    assert device.disable_stimulus_configuration(1).result == -120
    assert device.manual_stimulus(96, 1).result == -120
    assert bench.set() == 0
    assert device.manual_stimulus(96, 1).result == 0
    assert [electrode for _, electrode in bench.stimuli] == [96, 96]


def test_a_pattern_reads_back_as_it_was_set(bench, good):
    assert bench.device.read_stimulus_pattern(1).output == {
        key: value for key, value in good.items() if key != "config_id"
    }
    assert bench.device.read_stimulus_pattern(2).result == -121


def test_a_script_takes_its_time_and_repeats(bench):
    bench.script(3, 4, wait_ms=300)
    at = bench.clock.now() // 1000
    assert bench.device.play(2).result == 0
    assert bench.go_on(0) is Status.PLAYING
    assert bench.device.play(1).result == -102
    assert bench.device.manual_stimulus(1, 1).result == -102
    assert bench.set() == -102
    assert bench.go_on(2000) is Status.STOPPED
    # ten pulses at 100 Hz take 100 ms each; a call over USB takes 2 ms
    start = at + 2
    assert bench.stimuli == [
        (start, 3), (start + 100, 4), (start + 500, 3), (start + 600, 4)
    ]  # fmt: skip


def test_a_pause_ends_after_the_command_under_way_and_play_goes_on(bench):
    bench.script(3, 4)
    assert bench.device.pause().result == -102
    bench.device.play(1)
    bench.clock.sleep(50_000)
    assert bench.device.pause().result == 0
    assert bench.go_on(1000) is Status.PAUSED
    assert [electrode for _, electrode in bench.stimuli] == [3]
    assert bench.device.play(1).result == 0
    assert bench.go_on(200) is Status.STOPPED
    assert [electrode for _, electrode in bench.stimuli] == [3, 4]


def test_stop_rewinds_and_is_only_for_what_plays(bench):
    bench.script(3, 4)
    assert bench.device.stop().result == -102
    bench.device.play(0)
    assert bench.go_on(50) is Status.PLAYING
    assert bench.device.stop().result == 0
    assert bench.go_on(500) is Status.STOPPED
    bench.device.play(1)
    bench.go_on(500)
    assert [electrode for _, electrode in bench.stimuli] == [3, 3, 4]


def test_zero_times_is_for_ever(bench):
    bench.script(5, wait_ms=900)
    assert bench.device.play(65_536).result == -106
    assert bench.device.play(0).result == 0
    assert bench.go_on(60_000) is Status.PLAYING
    assert len(bench.stimuli) == 61


def test_writing_a_script_allows_only_its_commands(bench):
    device = bench.device
    for call in (device.end_of_sequence, device.beginning_of_group, device.end_of_group):
        assert call().result == -102
    assert device.auto_stimulus(1, 1).result == -102
    assert device.wait(1).result == -102
    assert device.play(1).result == -102  # nothing to play
    device.beginning_of_sequence()
    assert device.read_sequence_status().output == Status.WRITING
    assert device.beginning_of_sequence().result == -102
    assert device.play(1).result == -102
    assert device.manual_stimulus(1, 1).result == -102
    assert bench.set() == -102
    assert device.wait(65_536).result == -106
    assert device.auto_stimulus(97, 1).result == -104
    assert device.auto_stimulus(1, 9).result == -121


def test_a_group_holds_each_electrode_once_and_no_more_than_modules(bench):
    device = bench.device
    assert device.disable_module(15).result == 0
    device.beginning_of_sequence()
    assert device.beginning_of_group().result == 0
    assert device.beginning_of_group().result == -102
    assert device.end_of_group().result == -102  # empty
    assert device.wait(1).result == -102
    assert device.auto_stimulus(1, 1).result == 0
    assert device.auto_stimulus(1, 1).result == -119
    assert [device.auto_stimulus(n, 1).result for n in range(2, 16)] == [0] * 14
    assert device.auto_stimulus(16, 1).result == -117
    assert device.end_of_sequence().result == -102  # the group is open
    assert device.end_of_group().result == 0
    assert device.end_of_sequence().result == 0
    device.play(1)
    bench.go_on(0)
    assert len({at for at, _ in bench.stimuli}) == 1
    assert len(bench.stimuli) == 15


def test_a_script_has_at_most_128_commands(bench):
    device = bench.device
    device.beginning_of_sequence()
    assert {device.wait(1).result for _ in range(128)} == {Result.SUCCESS}
    assert device.wait(1).result == -102
    assert device.auto_stimulus(1, 1).result == -102
    assert device.beginning_of_group().result == -102
    assert device.end_of_sequence().result == 0


def test_modules_are_switched_and_named(make, good):
    device = make(modules=3).device
    assert device.enable_module(0).result == -128
    assert device.disable_module(0).result == 0
    assert device.disable_module(0).result == -127
    assert device.disable_module(3).result == -118
    assert device.disable_module(16).result == -116
    assert device.read_device_info().output["moduleStatus"][:4] == [2, 1, 1, 0]
    assert [device.disable_module(n).result for n in (1, 2)] == [0, 0]
    assert device.configure_stimulus_pattern(**good).result == 0
    assert device.manual_stimulus(1, 1).result == -118


def test_group_stimulus_does_it_all_in_one_call(bench):
    device = bench.device
    before = bench.clock.now()
    answer = device.group_stimulus(1, 1, 1, 3, [7, 8, 9], [1, 1, 1])
    assert answer.result == 0
    assert bench.clock.now() - before == 6000
    assert [electrode for _, electrode in bench.stimuli] == [7, 8, 9]
    assert device.group_stimulus(1, 1, 1, 2, [7, 8], [1, 1]).result == -102  # it plays
    bench.go_on(200)
    assert device.group_stimulus(0, 0, 1, 1, [7], [1]).result == -102  # no script is written
    assert device.group_stimulus(1, 0, 1, 0, [7], [1]).result == -106
    assert device.group_stimulus(1, 0, 1, 17, [7] * 17, [1] * 17).result == -106
    assert device.group_stimulus(1, 0, 1, 3, [7], [1]).result == -8
    assert device.group_stimulus(1, 0, 1, 2, [7, 7], [1, 1]).result == -119
    assert device.group_stimulus(1, 0, 1, 2, [7, 97], [1, 1]).result == -104
    assert device.group_stimulus(1, 0, 1, 2, [7, 8], [1, 1]).result == 0
    assert device.wait(500).result == 0
    assert device.group_stimulus(0, 1, 1, 1, [9], [1]).result == 0
    bench.go_on(2000)
    late = bench.stimuli[3:]
    assert [electrode for _, electrode in late] == [7, 8, 9]
    assert late[2][0] - late[0][0] == 600


def test_waiting_for_a_trigger_locks_all_calls_but_one(bench):
    device = bench.device
    assert device.trigger_stimulus(1).result == -102  # nothing to play
    bench.script(3)
    assert device.trigger_stimulus(0).result == -103
    assert device.trigger_stimulus(4).result == -103
    assert device.stop_trigger_stimulus().result == -103
    assert device.trigger_stimulus(1).result == 0
    assert device.read_sequence_status().output == Status.TRIGGER
    assert device.play(1).result == -102
    assert device.read_device_info().result == -102
    assert bench.set() == -102
    device.ttl(1)
    assert bench.go_on(10) is Status.PLAYING
    device.ttl(0)
    assert bench.go_on(500) is Status.TRIGGER
    device.ttl(1)
    bench.go_on(500)
    assert len(bench.stimuli) == 2
    assert device.stop_trigger_stimulus().result == 0
    assert bench.go_on(0) is Status.STOPPED
    device.ttl(0)
    assert len(bench.stimuli) == 2


@pytest.mark.parametrize(("edge", "count"), [(1, 2), (2, 1), (3, 3)])
def test_edges(bench, edge, count):
    bench.script(3)
    bench.device.trigger_stimulus(edge)
    for level in (1, 1, 0, 1):
        bench.device.ttl(level)
        bench.go_on(500)
    assert len(bench.stimuli) == count


def test_programming_takes_the_time_it_takes_on_the_device(bench):
    before = bench.clock.now()
    bench.device.beginning_of_sequence()
    for electrode in range(1, 11):
        bench.device.auto_stimulus(electrode, 1)
    bench.device.end_of_sequence()
    assert bench.clock.now() - before == 2000 + 10 * 4000 + 2000


def test_what_voltage_does_not_reach_is_noted(make):
    bench = make(impedance=lambda electrode: 100_000.0 if electrode == 2 else 10_000.0)
    bench.set(amp1=100, amp2=100)
    bench.device.manual_stimulus(1, 1)
    bench.device.manual_stimulus(2, 1)
    assert [record["reached"] for record in bench.of("stimulus")] == [True, False]


def test_tests_of_electrodes_and_modules(bench):
    found = bench.device.test_electrodes()
    assert found.result == 0
    assert found.output["impedance"] == [40_000] * 96
    assert found.output["electrodes"][0] == [0, -1800, 0, 1800, 0]
    assert len(bench.stimuli) == 96
    assert bench.device.measure_output_voltage(0, 5).output == [0, -1800, 0, 1800, 0]
    assert bench.device.measure_output_voltage(16, 5).result == -116
    assert bench.device.measure_output_voltage(0, 97).result == -104
    assert bench.device.test_modules().output["modulesStatus"] == [3] * 16


def test_electrodes_are_mapped_to_channels(bench):
    turned = list(range(96, 0, -1))
    banks = [turned[:32], turned[32:64], turned[64:]]
    assert bench.device.update_electrode_channel_map(*banks).result == 0
    bench.device.manual_stimulus(96, 1)
    assert bench.of("stimulus")[0]["channel"] == 1
    assert bench.device.update_electrode_channel_map([1] * 32, *banks[1:]).result == -8


def test_memory_and_reset(bench):
    device = bench.device
    assert device.write_eeprom(3, 7).result == 0
    assert device.read_eeprom().output[2:5] == [255, 7, 255]
    assert device.write_eeprom(256, 7).result == -8
    assert device.erase_eeprom().result == 0
    assert device.read_eeprom().output == [255] * 256
    assert device.reset_stimulator().result == 0
    assert device.play(1).result == -9
    assert device.connect().result == 0
    assert device.manual_stimulus(1, 1).result == -121  # patterns are gone
