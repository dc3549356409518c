"""A bank of a live stream: the same windows and events, however samples were cut and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from bci.bank import BankStream
from bci.block import RATES, Bank, Block, banks, cut
from bci.settings import EngineSettings
from bci.synth import Synth, SynthSettings
from schemas import avro
from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError

FS = 30_000.0
QUICK = EngineSettings(learn_s=1.0, learn_spikes=30, relearn_s=0.5)
SCHEMA = Draft202012Validator(json.loads((avro.HERE / "neural_event.schema.json").read_text()))
#: Device samples that are missing.
GAP = (70_000, 76_000)


@pytest.fixture(scope="module")
def synth() -> Synth:
    return Synth(SynthSettings(channels=70, seconds=4.0, seed=5, pitch_um=30.0, rate_hz=12.0))


@pytest.fixture(scope="module")
def samples(synth: Synth) -> NDArray[np.int16]:
    """Two banks; an artefact, a flat channel from the first second on, and a saturated one."""
    found = np.concatenate(list(synth.blocks()))
    found[50_000:50_006] += np.where(np.arange(70) % 2, 4000, -4000).astype(np.int16)
    found[30_000:, 3] = 7
    found[30_000:, 66] = np.where(np.arange(len(found) - 30_000) // 40 % 2, 8191, -8192)
    return found


def stream(
    synth: Synth,
    samples: NDArray[np.int16],
    sizes: Iterator[int],
    kept: Callable[[BankStream], BankStream] = lambda each: each,
) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return windows and events of all banks by their ids."""
    labels = [f"e{channel}" for channel in range(70)]
    into = banks("s", FS, 10**15, np.full(70, 0.25), labels, synth.probe.positions)
    streams = [BankStream(bank, QUICK) for bank in into]
    windows, events, at = {}, {}, 0
    while at < len(samples):
        edge = next((e for e in GAP if at < e), len(samples))
        end = min(at + next(sizes), edge)
        if not GAP[0] <= at < GAP[1]:
            for number, block in enumerate(cut(into, samples[at:end], at, 1)):
                if at == 60_000:
                    block.stimuli = np.array([[60_300, 60_360]])
                found = streams[number].process([Block.decode(block.encode())])
                streams[number] = kept(streams[number])
                windows |= {(number, w.first): w.encode(into[number]) for w in found.windows}
                events |= {event["id"]: event for event in found.events}
        at = end
    for number, each in enumerate(streams):
        found = each.finish()
        windows |= {(number, w.first): w.encode(into[number]) for w in found.windows}
        events |= {event["id"]: event for event in found.events}
    return windows, events


@pytest.fixture(scope="module")
def whole(synth, samples):
    return stream(synth, samples, iter(lambda: 3000, None))


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1), divisor=st.sampled_from([60, 400, 6000]))
def test_any_blocks_give_the_same_windows_and_events(synth, samples, whole, seed, divisor):
    draw = np.random.default_rng(seed)
    sizes = iter(lambda: int(draw.integers(1, 7) * divisor // 6), None)

    windows, events = stream(synth, samples, _landing(sizes))

    assert windows == whole[0]
    assert events == whole[1]


def _landing(sizes: Iterator[int]) -> Iterator[int]:
    """Yield sizes such that one block begins at sample 60,000, where the stimulus is told."""
    at = 0
    for size in sizes:
        size = 60_000 - at if at < 60_000 < at + size else size
        at += size
        yield size


@pytest.mark.parametrize("fs", RATES)
def test_every_rate_that_a_block_may_have_is_worked_on(fs):
    samples = np.random.default_rng(0).normal(0, 40, (round(1.5 * fs), 2)).astype(np.int16)
    (bank,) = banks("s", fs, 0, np.full(2, 0.25), [], None)
    found = BankStream(bank).process([Block(bank, 0, 0, samples)]).events
    assert "activity" in {event["kind"] for event in found}


@pytest.mark.parametrize("fs", [0.0, 49.9, 1e6, float("nan"), float("inf")])
def test_at_a_rate_that_is_not_worked_on_a_block_is_refused(fs):
    bank = Bank("s", 0, fs, 0, np.ones(2, np.float32), np.zeros((0, 2), np.float32), ())
    with pytest.raises(SchemaError, match="expected a sampling rate of 50 to 200000 Hz, found"):
        Block.decode(Block(bank, 0, 0, np.zeros((9, 2), np.int16)).encode())


def test_restored_state_goes_on_bit_for_bit(synth, samples, whole):
    def kept(each: BankStream) -> BankStream:
        return BankStream.restore(unpack("t", 1, pack("t", 1, each.snapshot())), QUICK)

    windows, events = stream(synth, samples, iter(lambda: 6000, None), kept)

    assert windows == whole[0]
    assert events == whole[1]


def test_events_are_what_the_schema_says(whole):
    kinds = {event["kind"] for event in whole[1].values()}
    assert kinds >= {"spike_batch", "activity", "artefact", "stimulus", "gap", "channel_health"}
    for event in whole[1].values():
        assert [error.message for error in SCHEMA.iter_errors(event)] == []


def test_windows_hold_the_spikes_of_their_time(whole):
    total = 0
    for value in whole[0].values():
        window = avro.decode("neural_spikes", value)
        sample = np.frombuffer(window["sample"], "<i8")
        channel = np.frombuffer(window["channel"], "<i4")
        snippets = np.frombuffer(window["snippets"], "<f4").reshape(-1, window["taps"])
        assert len(sample) == len(channel) == len(snippets) > 0
        assert (np.diff(sample) >= 0).all()
        assert window["first"] <= sample[0]
        assert sample[-1] < window["last"]
        assert ((channel >= 64) == bool(window["bank"])).all()
        total += len(sample)
    batches = [event for event in whole[1].values() if event["kind"] == "spike_batch"]
    assert sum(len(event["sample"]) for event in batches) == total > 500


def test_flat_and_saturated_channels_are_told(whole):
    changes = {
        row["label"]: row["state"]
        for event in whole[1].values()
        if event["kind"] == "channel_health"
        for row in event["channels"]
    }
    assert changes == {"e3": "flat", "e66": "saturated"}


def test_gap_is_told_and_so_are_artefact_and_stimulus(whole):
    by_kind = {event["kind"]: event for event in whole[1].values() if event["bank"] == 0}

    assert by_kind["gap"]["missing_samples"] == GAP[1] - GAP[0]
    assert by_kind["gap"]["reset"] is False
    assert by_kind["artefact"]["first"] <= 50_000 <= by_kind["artefact"]["last"]
    assert by_kind["stimulus"]["spans"] == [[60_300, 60_360]]


def block_of(**changed: Any) -> bytes:
    record = {
        "session": "s",
        "bank": 0,
        "fs": FS,
        "epoch": 0,
        "start": 0,
        "sent": 0,
        "channels": 2,
        "samples": bytes(8),
        "uv_per_bit": np.ones(2, "<f4").tobytes(),
        "positions": b"",
        "labels": "",
        "stimuli": b"",
    }
    return avro.encode("neural_block", record | changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"channels": 0},
        {"channels": 65},
        {"samples": bytes(7)},
        {"uv_per_bit": bytes(4)},
        {"uv_per_bit": np.full(2, np.nan, "<f4").tobytes()},
        {"positions": bytes(8)},
        {"fs": 0.0},
        {"fs": float("nan")},
        {"start": -1},
        {"bank": -1},
        {"stimuli": bytes(15)},
    ],
)
def test_blocks_whose_parts_do_not_fit_are_refused(changed):
    assert Block.decode(block_of()).samples.shape == (2, 2)
    with pytest.raises(SchemaError, match="expected"):
        Block.decode(block_of(**changed))


def test_blocks_that_are_too_large_are_refused():
    (bank,) = banks("s", FS, 0, np.ones(64), [], None)
    with pytest.raises(ValueError, match="shorter blocks"):
        Block(bank, 0, 0, np.zeros((8193, 64), np.int16)).encode()
