"""What is refused beyond what the device refuses."""

from __future__ import annotations

from bci.stimulator.safety import SafetySettings


def test_charge_on_the_electrodes_area_is_limited(make):
    bench = make(safety=SafetySettings(area_um2=1000.0, density_uc_cm2=1000.0))
    assert bench.set() == 0  # 10 nC: the limit
    assert bench.set(width1=201, width2=201) == -123
    assert bench.of("refused")[0]["why"] == "charge density"


def test_a_script_with_too_much_charge_a_second_is_not_begun(make):
    bench = make(safety=SafetySettings(electrode_nc_s=500.0))
    assert bench.set() == 0  # 10 nC a pulse, 100 Hz: 1000 nC a second
    bench.script(3)
    assert bench.device.play(1).result == 0
    bench.go_on(5000)
    assert bench.device.play(0).result == -100
    assert bench.device.trigger_stimulus(1).result == 0
    bench.device.stop_trigger_stimulus()
    assert len(bench.stimuli) == 1


def test_too_much_charge_a_second_locks_the_device(make):
    bench = make(safety=SafetySettings(electrode_nc_s=250.0))
    bench.set()
    assert [bench.device.manual_stimulus(3, 1).result for _ in range(4)] == [0, 0, -131, -131]
    assert bench.device.is_device_locked().output == 1
    assert [record["why"] for record in bench.of("locked")] == ["charge a second"]
    assert len(bench.stimuli) == 2
    bench.device.reset_stimulator()
    bench.device.connect()
    assert bench.device.is_device_locked().output == 0


def test_charge_of_all_electrodes_together_is_limited_and_flows_off(make):
    bench = make(safety=SafetySettings(total_nc_s=250.0))
    bench.set()
    assert [bench.device.manual_stimulus(n, 1).result for n in (1, 2)] == [0, 0]
    bench.go_on(1200)
    assert bench.device.manual_stimulus(3, 1).result == 0
    bench.go_on(1200)
    answers = [bench.device.manual_stimulus(n, 1).result for n in (1, 2, 3)]
    assert answers == [0, 0, -131]
