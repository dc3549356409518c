"""EEG and other recordings too slow for spikes: everything else, bit for bit in any blocks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from bci.bank import BankStream
from bci.block import Block, banks, cut
from bci.settings import EngineSettings, spikes_from
from bci.unusual.rhythm import LASTING, Rhythm
from schemas import avro
from schemas.snapshot import pack, unpack

SCHEMA = Draft202012Validator(json.loads((avro.HERE / "neural_event.schema.json").read_text()))
#: Rates as devices have them; the last is the fastest without spikes.
RATES = (50.0, 100.0, 249.98, 512.0, 1000.0, 1333.0)
CHANNELS, SECONDS = 12, 36
#: What happens, in seconds: an electrode comes off, one is at its rail, a cable is touched,
#: samples are missing, and most channels begin to oscillate.
DEAD_S, RAIL_S, TOUCHED_S, GAP_S, SEIZURE_S = 3.0, 4.0, 8.0, (12.0, 13.0), 30.0
DEAD, RAIL = 3, 5


def eeg(fs: float) -> NDArray[np.int16]:
    """Return int16[time, channel], 0.5 µV a bit, electrodes at an offset of millivolts."""
    draw = np.random.default_rng(4)
    time = np.arange(round(SECONDS * fs)) / fs
    phase = draw.uniform(0, 2 * np.pi, CHANNELS)
    uv = 10 * np.sin(2 * np.pi * 10 * time[:, None] + phase) + draw.normal(
        0, 3, (len(time), CHANNELS)
    )
    uv[time >= SEIZURE_S, 2:] += 120 * np.sin(2 * np.pi * 6 * time[time >= SEIZURE_S, None])
    uv[(time >= TOUCHED_S) & (time < TOUCHED_S + 0.1)] += 800
    uv += 2000
    uv[time >= DEAD_S, DEAD] = 0
    railed = time >= RAIL_S
    uv[railed, RAIL] = np.where(np.sin(2 * np.pi * time[railed]) > 0, 16_000, -16_000)
    return np.round(uv / 0.5).astype(np.int16)


def stream(
    fs: float,
    sizes: Iterator[int],
    kept: Callable[[BankStream], BankStream] = lambda each: each,
) -> dict[str, Any]:
    """Return the events by their ids, with blocks of these sizes."""
    samples, gap = eeg(fs), [round(at * fs) for at in GAP_S]
    labels = [f"e{channel}" for channel in range(CHANNELS)]
    into = banks("s", fs, 10**15, np.full(CHANNELS, 0.5), labels, None)
    made, events, at = BankStream(into[0]), [], 0
    while at < len(samples):
        edge = next((e for e in gap if at < e), len(samples))
        end = min(at + next(sizes), edge)
        if not gap[0] <= at < gap[1]:
            (block,) = cut(into, samples[at:end], at, 1)
            found = made.process([Block.decode(block.encode())])
            made = kept(made)
            assert not found.windows, "no spikes"
            events += found.events
        at = end
    events += made.finish().events
    assert len({event["id"] for event in events}) == len(events)
    return {event["id"]: event for event in events}


@pytest.fixture(scope="module", params=RATES)
def whole(request) -> tuple[float, dict[str, Any]]:
    return request.param, stream(request.param, iter(lambda: round(request.param / 4), None))


def test_all_but_spikes_is_told(whole):
    fs, events = whole
    kinds: dict[str, list[dict[str, Any]]] = {}
    for event in events.values():
        SCHEMA.validate(event)
        kinds.setdefault(event["kind"], []).append(event)

    assert kinds.keys() == {"activity", "artefact", "channel_health", "gap", "synchrony"}
    (gap,), (seizure,) = kinds["gap"], kinds["synchrony"]
    assert gap["missing_samples"] == round(GAP_S[1] * fs) - round(GAP_S[0] * fs)
    assert seizure["first"] / fs == pytest.approx(SEIZURE_S, abs=1.1)
    assert "channels at 3 times their usual amplitude (4 to 30 Hz) for 4.0 s" in seizure["message"]
    changes = [row for event in kinds["channel_health"] for row in event["channels"]]
    assert {row["label"]: row["state"] for row in changes} == {"e3": "flat", "e5": "saturated"}
    assert kinds["artefact"][0]["first"] / fs == pytest.approx(TOUCHED_S, abs=0.1)


def test_a_second_tells_of_bands_noise_and_why_there_are_no_rates(whole):
    fs, events = whole
    second = [event for event in events.values() if event["kind"] == "activity"][18]

    assert "rate_hz" not in second
    assert second["message"] == f"no room for spikes at {fs:g} Hz on {CHANNELS} channels"
    assert second["band_uv2"]["alpha"][0] == pytest.approx(50, rel=0.2)
    assert ("high_gamma" in second["band_uv2"]) == (fs > 400)
    assert second["noise_uv"][0] == pytest.approx(9, rel=0.4)


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    fs=st.sampled_from([100.0, 249.98]),
    most=st.sampled_from([9, 100, 1200]),
)
def test_any_blocks_and_restarts_give_the_same_events(seed, fs, most):
    draw = np.random.default_rng(seed)

    def kept(each: BankStream) -> BankStream:
        if draw.random() < 0.02:
            return BankStream.restore(unpack("t", 1, pack("t", 1, each.snapshot())))
        return each

    sizes = iter(lambda: int(draw.integers(1, most + 1)), None)
    assert stream(fs, sizes, kept) == stream(fs, iter(lambda: 4096, None))


def test_the_limit_follows_the_band():
    assert spikes_from(EngineSettings()) == pytest.approx(1333.3, abs=0.1)
    assert spikes_from(EngineSettings(low_hz=150.0)) == pytest.approx(666.7, abs=0.1)
    for fs, spiking in ((1333.0, False), (1334.0, True)):
        (bank,) = banks("s", fs, 0, np.ones(2), [], None)
        noise = np.random.default_rng(0).normal(0, 40, (round(2 * fs), 2)).astype(np.int16)
        events = BankStream(bank).process([Block(bank, 0, 0, noise)]).events
        assert ["rate_hz" in event for event in events if event["kind"] == "activity"] == [
            spiking,
            spiking,
        ]


def rhythm(amplitudes: list[float], good: int = 12) -> list[int]:
    """Return the seconds at which it is told that all channels oscillate."""
    watch, usable = Rhythm(12), np.arange(12) < good
    told = []
    for second, amplitude in enumerate(amplitudes):
        power = np.full(12, amplitude**2 / 3, np.float32)
        powers = dict.fromkeys(("theta", "alpha", "beta"), power)
        if watch.second(second, second + 1, usable, powers):
            told.append(second)
    return told


def test_a_seizure_is_told_once_and_the_next_after_quiet():
    calm, strong = [10.0] * 20, [40.0] * 12

    assert rhythm([*calm, *strong]) == [20 + LASTING - 1]
    assert rhythm([*calm, *strong, 10.0, 10.0, *strong]) == [23], "the same"
    assert rhythm([*calm, *strong, *calm, *strong]) == [23, 55]


def test_what_is_short_or_weak_or_usual_is_no_seizure():
    calm = [10.0] * 20
    assert rhythm([*calm, *([40.0, 40.0, 40.0, 10.0] * 5)]) == []
    assert rhythm([*calm, *([25.0] * 20)]) == []
    assert rhythm([*([10.0] * 8), *([40.0] * 30)]) == [], "what is usual is not known yet"
    assert rhythm([*calm, *([40.0] * 20)], good=7) == [], "too few channels"
    assert Rhythm(12).second(0, 1, np.ones(12, bool), {"theta": np.ones(12, np.float32)}) is None
