"""What ``sentinel bci replay`` takes, and the blocks that it makes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bci.formats import Recording, Segment
from sentinel.cli._bci import replay
from sentinel.errors import SettingsError

ROWS = np.arange(100 * 70, dtype=np.int16).reshape(100, 70)


@pytest.fixture
def recording() -> Recording:
    labels = tuple(f"e{channel}" for channel in range(70))
    segments = (Segment(1000, ROWS[:60]), Segment(2000, ROWS[60:]))
    return Recording(10_000.0, np.full(70, 0.25), labels, segments)


def test_blocks_are_banks_of_what_was_recorded_and_end(recording):
    groups = list(replay.blocks(recording, list(range(70)), "s", 2.5, loop=False, now_us=10**15))

    assert [[len(block.samples) for block in group] for group in groups] == [
        *[[25, 25], [25, 25], [10, 10], [25, 25], [15, 15]],
        [0, 0],
    ]
    assert [group[0].start for group in groups] == [1000, 1025, 1050, 2000, 2025, 2040]
    for number, columns in enumerate((slice(0, 64), slice(64, 70))):
        found = np.concatenate([group[number].samples for group in groups])
        assert np.array_equal(found, ROWS[:, columns])
    assert groups[0][1].bank.key == b"s/1"
    assert groups[0][0].bank.epoch == 10**15 - 100_000  # sample 1000 is taken now


def test_a_loop_goes_on_after_a_gap(recording):
    groups = replay.blocks(recording, [3, 5], "s", 100.0, loop=True, now_us=0)
    starts = [group[0].start for group in itertools.islice(groups, 4)]

    assert starts == [1000, 2000, 3040, 4040]  # 100 ms after 2040


def test_only_some_channels(recording):
    assert replay.select(recording, "0-2, 69") == [0, 1, 2, 69]
    assert replay.select(recording, "") == list(range(70))
    (group, _, _) = replay.blocks(recording, [3, 69], "s", 100.0, loop=False, now_us=0)
    assert np.array_equal(group[0].samples, ROWS[:60, [3, 69]])
    assert group[0].bank.labels == ("e3", "e69")


@pytest.mark.parametrize("wanted", ["70", "a", "3-", "-3", "5-3", "0-100"])
def test_channels_that_are_not_there_are_refused(recording, wanted):
    with pytest.raises(SettingsError, match="--channels: expected"):
        replay.select(recording, wanted)


def test_speed():
    assert replay.pace("max") == 0
    assert replay.pace("2.5") == 2.5
    for wrong in ("0", "-1", "fast", "nan", "inf"):
        with pytest.raises(SettingsError, match="--speed: expected"):
            replay.pace(wrong)
