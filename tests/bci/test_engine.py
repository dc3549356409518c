"""What the engine finds, and that blocks, restarts and other banks do not change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bci.engine import Engine, Found, Spikes
from bci.probe import Probe
from bci.score import score
from bci.settings import EngineSettings
from bci.synth import Synth, SynthSettings
from sentinel.errors import SchemaError

FS = 30_000.0
START = 1 << 33  # beyond what 32 bits count
QUICK = EngineSettings(learn_s=1.0, learn_spikes=30, relearn_s=0.5)


@pytest.fixture(scope="module")
def synth() -> Synth:
    """A dense probe of 70 channels: a full bank and a small one."""
    return Synth(SynthSettings(channels=70, seconds=3.0, seed=5, pitch_um=30.0, rate_hz=12.0))


@pytest.fixture(scope="module")
def samples(synth: Synth) -> NDArray[np.int16]:
    """The recording, with an artefact that hits all channels with either sign."""
    found = np.concatenate(list(synth.blocks()))
    found[50_000:50_006] += np.where(np.arange(70) % 2, 4000, -4000).astype(np.int16)
    return found


def engine(probe: Probe, given: EngineSettings = QUICK) -> Engine:
    return Engine(FS, 0.25, probe, given)


def run(
    made: Engine, samples: NDArray[np.int16], cuts: Iterator[int] | int, start: int = START
) -> tuple[Spikes, NDArray[np.int64]]:
    """Put a recording through in blocks; return all spikes and artefacts."""
    parts: list[Found] = []
    at = 0
    while at < len(samples):
        size = cuts if isinstance(cuts, int) else next(cuts)
        parts.append(made.process(samples[at : at + size], start + at))
        at += size
    return joined([*parts, made.finish()])


def joined(parts: list[Found]) -> tuple[Spikes, NDArray[np.int64]]:
    spikes = Spikes(
        *(np.concatenate(column) for column in zip(*(p.spikes for p in parts), strict=True))
    )
    return spikes, np.concatenate([part.artefacts for part in parts])


def assert_same(left: Spikes, right: Spikes) -> None:
    assert len(left.sample) == len(right.sample) > 100
    for name, one, other in zip(Spikes._fields, left, right, strict=True):
        assert np.array_equal(one, other), name


@pytest.fixture(scope="module")
def whole(synth: Synth, samples: NDArray[np.int16]) -> tuple[Spikes, NDArray[np.int64]]:
    return run(engine(synth.probe), samples, len(samples))


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1), most=st.sampled_from([40, 700, 9000]))
def test_any_blocks_give_the_same_bit_for_bit(synth, samples, whole, seed, most):
    draw = np.random.default_rng(seed)
    cuts = iter(lambda: int(draw.integers(1, most)), None)

    spikes, artefacts = run(engine(synth.probe), samples, cuts)

    assert_same(spikes, whole[0])
    assert np.array_equal(artefacts, whole[1])


def test_restored_state_goes_on_bit_for_bit(synth, samples, whole):
    parts, made = [], engine(synth.probe)
    for first in range(0, len(samples), 4999):
        fresh = engine(synth.probe)
        if first:
            fresh.restore(made.snapshot())
        made = fresh
        parts.append(made.process(samples[first : first + 4999], START + first))

    spikes, _ = joined([*parts, made.finish()])

    assert_same(spikes, whole[0])


def test_snapshot_of_other_settings_is_refused(synth):
    state = engine(synth.probe).snapshot()

    with pytest.raises(SchemaError, match="expected a snapshot made with"):
        engine(synth.probe, EngineSettings(low_hz=250.0)).restore(state)


def test_a_bank_alone_gives_what_it_gives_among_others(synth, samples, whole):
    alone, _ = run(
        engine(Probe(synth.probe.positions[64:])), np.ascontiguousarray(samples[:, 64:]), 1000
    )

    of_bank = whole[0].channel >= 64
    assert of_bank.sum() == len(alone.sample) > 10
    assert np.array_equal(alone.sample, whole[0].sample[of_bank])
    assert np.array_equal(alone.snippets, whole[0].snippets[of_bank])


def test_finds_the_spikes_and_hardly_anything_else(synth, samples, whole):
    truth, spikes = synth.truth, whole[0]
    late = truth.sample > 2 * FS

    found = score(
        truth.sample[late],
        truth.positions[truth.unit[late]],
        (spikes.sample - START)[spikes.sample > START + 2 * FS],
        synth.probe.positions[spikes.channel[spikes.sample > START + 2 * FS]],
        FS,
    )

    assert found.recall > 0.8  # some of 35 units on a dense probe fire at the same time
    assert found.precision > 0.9  # neighbours in another bank are not exclusive


def test_troughs_are_where_the_signal_is_lowest(whole):
    spikes = whole[0]
    lead = round(QUICK.before_ms * FS / 1000)

    assert (spikes.amplitude < 0).all()
    assert np.array_equal(spikes.snippets[:, lead], spikes.amplitude)
    assert (spikes.snippets[:, lead - 1] >= spikes.amplitude).all()
    assert (spikes.snippets[:, lead + 1] > spikes.amplitude).all()


def test_detections_keep_the_refractory_period(whole):
    spikes = whole[0]
    least = round(QUICK.refractory_ms * FS / 1000)

    for channel in np.unique(spikes.channel):
        assert (np.diff(spikes.sample[spikes.channel == channel]) >= least).all()


def test_an_artefact_is_told_and_gives_no_spikes(whole):
    spikes, artefacts = whole

    assert artefacts[:, 0].tolist() == [0]  # six channels are too few to tell in the second bank
    first, last = artefacts[0, 1] - START, artefacts[0, 2] - START
    assert 49_900 < first <= 50_000
    assert 50_006 <= last < 50_200
    inside = (spikes.sample >= artefacts[0, 1]) & (spikes.sample <= artefacts[0, 2])
    assert not (inside & (spikes.channel < 64)).any()


def test_blanked_samples_give_no_spikes_and_change_no_noise(synth, samples, whole):
    made = engine(synth.probe)
    loud = samples.copy()
    loud[30_000:31_000] = np.random.default_rng(1).integers(-30_000, 30_000, (1000, 70))
    made.blank(START + 30_000, START + 30_999)

    spikes, _ = run(made, loud, 777)

    inside = (spikes.sample >= START + 30_000) & (spikes.sample < START + 31_000)
    assert not inside.any()
    assert np.allclose(made.sigma, 0.25 * 32 * 0.63, rtol=0.2)  # noise of 8 µV in the band


def test_a_gap_is_told_and_nothing_is_joined_across_it(synth, samples):
    made = engine(synth.probe)
    before = made.process(samples[:40_000], 0)

    after = made.process(samples[40_000:], 45_000)

    assert before.gaps.tolist() == []
    assert after.gaps.tolist() == [[40_000, 45_000]]
    settle = round(QUICK.settle_ms * FS / 1000)
    assert not ((after.spikes.sample >= 40_000) & (after.spikes.sample < 45_000 + settle)).any()


def test_a_counter_that_goes_back_is_a_gap(synth, samples):
    made = engine(synth.probe)
    made.process(samples[:10_000], 90_000)

    assert made.process(samples[:10_000], 0).gaps.tolist() == [[100_000, 0]]


def test_bad_channels_are_silent_and_do_not_spoil_the_reference(synth, samples):
    broken = samples.copy()
    broken[:, 3] = np.random.default_rng(2).integers(-30_000, 30_000, len(samples))

    spikes, _ = run(engine(synth.probe, EngineSettings(bad_channels=(3,))), broken, 3000)
    clean, _ = run(engine(synth.probe, EngineSettings(bad_channels=(3,))), samples, 3000)

    assert 3 not in spikes.channel
    assert_same(spikes, clean)


def test_muted_channels_are_silent_until_they_are_good_again(synth, samples):
    made, bad = engine(synth.probe), np.arange(70) == 2
    made.process(samples[:30_000], 0)
    made.mute(bad)
    muted = made.process(samples[30_000:60_000], 30_000).spikes
    made.mute(bad & False)
    after = made.process(samples[60_000:], 60_000).spikes

    assert 2 not in muted.channel[muted.sample >= 30_000]
    assert 2 in after.channel


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [64, 5])
def test_filter_equals_scipys(order: int, channels: int):
    draw = np.random.default_rng(order)
    samples = draw.integers(-2000, 2000, (900, channels), dtype=np.int16)
    made = engine(Probe.line(channels), EngineSettings(order=order, reference="none"))
    made.process(samples, 0)

    rows = made.state.arrays.rows[0, made.state.filled - 900 : made.state.filled, :channels]
    sections = butter(order, [300.0, 6000.0], "bandpass", fs=FS, output="sos")
    assert np.allclose(rows, sosfilt(sections, samples * 0.25, axis=0), atol=0.05)


def reference_of(kind: str) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    if kind == "car":
        return lambda x: x - x.mean(axis=1, keepdims=True)
    return lambda x: np.column_stack(
        [x[:, 0] - x[:, 1], x[:, 1] - x[:, [0, 2]].mean(1), x[:, 2] - x[:, 1]]
    )


@pytest.mark.parametrize("kind", ["car", "local"])
def test_reference_is_taken_off(kind: str):
    """Before the noise is known the reference is the plain mean."""
    draw = np.random.default_rng(0)
    samples = draw.integers(-2000, 2000, (600, 3), dtype=np.int16)
    given = EngineSettings(reference=kind, radius_um=25.0)
    made = engine(Probe.line(3, 20.0), given)
    made.process(samples, 0)

    rows = made.state.arrays.rows[0, made.state.filled - 600 : made.state.filled, :3]
    plain = sosfilt(
        butter(2, [300.0, 6000.0], "bandpass", fs=FS, output="sos"), samples * 0.25, axis=0
    )
    assert np.allclose(rows, reference_of(kind)(plain), atol=0.05)


@pytest.mark.parametrize("channels", [1, 2])
def test_few_channels_are_no_reference_for_one_another(channels):
    asked = SynthSettings(channels, 4.0, seed=6, rate_hz=20.0, snr=(8.0, 16.0), pitch_um=400.0)
    made = Synth(asked)
    found, _ = run(Engine(FS, 0.25, made.probe), np.concatenate(list(made.blocks())), 3000, 0)
    truth, heard = made.truth, found.sample >= FS // 2  # the noise is known by then
    known = truth.sample >= FS // 2

    result = score(
        truth.sample[known], truth.positions[truth.unit[known]],
        found.sample[heard], truth.electrodes[found.channel[heard]], FS,
    )  # fmt: skip

    assert min(result.recall, result.precision) > 0.9


def test_wrong_number_of_channels_is_refused(synth):
    with pytest.raises(ValueError, match="expected int16"):
        engine(synth.probe).process(np.zeros((10, 3), np.int16), 0)


def test_band_beyond_the_rate_is_refused():
    with pytest.raises(ValueError, match="set the band for this sampling rate"):
        Engine(500.0, 1.0, Probe.line(2))
