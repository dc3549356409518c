"""A recording into ``raw.neural``, at its own pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np

from bci.block import Bank, Block, banks, cut
from bci.formats import Recording
from sentinel import topics
from sentinel.errors import SettingsError
from sentinel.kafka import Producer
from sentinel.settings import Settings

#: What two passes of a recording that is repeated are apart, ms: they must not be joined.
PAUSE_MS: Final = 100.0
#: Samples of a block at least: what else a block says would outweigh those of an EEG.
LEAST_SAMPLES: Final = 10
#: Compressing noise costs time and saves next to nothing.
COMPRESSION: Final = "none"
LINGER_MS: Final = 2.0
#: Memory of samples that the broker has not confirmed; beyond it the replay falls behind.
QUEUE_MIB: Final = 64


@dataclass(slots=True)
class Sent:
    """What was sent so far.

    Attributes
    ----------
    blocks, size, seconds
        Records, their bytes, seconds of recording.
    behind_s
        How much later than due a block was sent at most, s; 0 with no pace.
    """

    blocks: int = 0
    size: int = 0
    seconds: float = 0.0
    behind_s: float = 0.0


def select(recording: Recording, wanted: str) -> list[int]:
    """Return the channels that ``0-63,70`` names, counted from 0; all where it is empty.

    Raises
    ------
    SettingsError
        Not a list of channels, or the recording has no such channel.
    """
    count = len(recording.labels)
    if not wanted:
        return list(range(count))
    chosen: list[int] = []
    for part in wanted.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise SettingsError(f"--channels: expected numbers such as 0-63,70, found {part!r}")
        chosen.extend(range(int(first), min(int(last or first), count) + 1))
    if not chosen or max(chosen) >= count:
        raise SettingsError(f"--channels: expected 0 to {count - 1}, found {wanted}")
    return chosen


def pace(speed: str) -> float:
    """Return how many times faster than recorded; 0 for as fast as possible.

    Raises
    ------
    SettingsError
        Neither a positive number nor ``max``.
    """
    if speed == "max":
        return 0.0
    try:
        found = float(speed)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e6:
        raise SettingsError(f"--speed: expected a positive number or max, found {speed!r}")
    return found


def blocks(
    recording: Recording,
    chosen: list[int],
    session: str,
    block_ms: float,
    *,
    loop: bool,
    now_us: int,
) -> Iterator[list[Block]]:
    """Yield the blocks of a recording, those of all banks together; at last empty ones.

    With `loop` for ever: each pass goes on `PAUSE_MS` after the one before.
    """
    fs = recording.fs
    length = max(LEAST_SAMPLES, round(block_ms * fs / 1000))
    origin = recording.segments[0].start if recording.segments else 0
    epoch = now_us - round(origin * 1e6 / fs)
    places = None if recording.positions is None else recording.positions[chosen]
    labels = [recording.labels[channel] for channel in chosen]
    into = banks(session, fs, epoch, recording.uv_per_bit[chosen], labels, places)
    part = slice(None) if chosen == list(range(len(recording.labels))) else chosen
    end, shift = origin, 0
    while True:
        for start, samples in recording.blocks(length):
            end = start + shift + len(samples)
            yield list(cut(into, samples[:, part], start + shift, 0))
        if not loop:
            break
        shift = end + round(PAUSE_MS * fs / 1000) - origin
    yield [_end(bank, end) for bank in into]


def _end(bank: Bank, at: int) -> Block:
    return Block(bank, at, 0, np.zeros((0, bank.channels), np.int16))


def run(
    settings: Settings,
    groups: Iterator[list[Block]],
    speed: float,
    tenant: str,
    told: Callable[[Sent], None],
) -> Sent:
    """Produce blocks at `speed` times their own pace; return what was sent.

    At least once and in order per bank; the broker has all of it when this returns. Ctrl-C
    ends it like the end of the blocks.
    """
    headers = {"tenant": tenant} if tenant != "default" else None
    sent, started = Sent(), time.monotonic()
    with (
        Producer(
            settings, compression=COMPRESSION, linger_ms=LINGER_MS, queue_mib=QUEUE_MIB
        ) as producer,
        suppress(KeyboardInterrupt),  # what was sent is told, the rest is not sent
    ):
        for group in groups:
            bank = group[0].bank
            sent.seconds += len(group[0].samples) / bank.fs
            if speed:
                # a block is there once its last sample was taken
                ahead = started + sent.seconds / speed - time.monotonic()
                sent.behind_s = max(sent.behind_s, -ahead)
                if ahead > 0:
                    time.sleep(ahead)
            now = time.time_ns() // 1000
            for block in group:
                block.sent = now
                value = block.encode()
                producer.send(topics.NEURAL, value, key=block.bank.key, headers=headers)
                sent.blocks += 1
                sent.size += len(value)
            told(sent)
    return sent
