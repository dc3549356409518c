"""1,024 channels at 30 kHz through Kafka at their own pace for a minute: lag, memory, CPU by part.

A platform as a person starts it, and ``sentinel bci replay --loop`` beside it: 62 MB of samples a
second. ``lag_begin_s`` and ``lag_end_s`` are the most that checkpoints of the neural stage were
behind the topic in the first and last `EDGE_S` seconds, in seconds of recording (their interval
included): real time is held where they are alike, and ``behind_s``, by how much the replay was
late, stays small. ``cores`` is CPU time of all parts over the time that passed.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from bench._with.context import Context
from bench._with.platform import Platform, cpu_s, platform
from bench.measure import Row
from sentinel.settings import Settings
from streams.runtime import progress
from streams.runtime.checkpoint import Store

CHANNELS: Final = 1024
#: What is made, and sent again and again; a pass goes on 0.1 s after the one before.
PIECE_S: Final = 4.0
SECONDS, EDGE_S = 60.0, 10.0
#: What comes before: the first pass is read from disk, prototypes are learnt at 8 s.
WARM_S: Final = 15.0
#: Blocks a second of recording: 16 banks, 10 ms each.
BLOCKS: Final = 1600
PARTS: Final = ("kafka", "neural", "worker", "persist", "postgres")


class Look(NamedTuple):
    """Seconds on the clock, blocks behind, CPU seconds of each part and of the replay."""

    at: float
    behind: int
    used: dict[str, float]


def run(context: Context) -> Iterator[Row]:
    """Start, send, look each second."""
    yield measured(context, WARM_S, SECONDS)


def measured(context: Context, warm_s: float, seconds: float) -> Row:
    """Return the row for so long a run."""
    recording = str(context.temporary() / "rec.ns5")
    with platform(context) as running:
        context.report(f"making {PIECE_S:g} seconds of {CHANNELS} channels")
        made = ("--channels", str(CHANNELS), "--seconds", str(PIECE_S), "--out", recording)
        running.sentinel("bci", "synth", *made)
        context.report(f"sending them for {warm_s + seconds:g} s")
        with running.beside("bci", "replay", recording, "--loop", "--json") as replay:
            looks = asyncio.run(_watch(running, replay, warm_s, seconds))
            sent = json.loads(running.interrupted(replay))
        return _row(looks, sent, running.peak_mib("neural"))


async def _watch(
    running: Platform, replay: subprocess.Popen[bytes], warm_s: float, seconds: float
) -> list[Look]:
    """Look each second, once the replay has warmed up; RuntimeError where it ended."""
    settings = running.settings()
    store = await Store.open(settings.postgres)
    try:
        await asyncio.sleep(warm_s)
        end, looks = time.monotonic() + seconds, list[Look]()
        while not looks or looks[-1].at < end:
            if replay.poll() is not None:
                raise RuntimeError(f"sentinel bci replay ended with status {replay.returncode}")
            used = {part: cpu_s(running.pid(part)) for part in PARTS}
            used["replay"] = cpu_s(replay.pid)
            looks.append(Look(time.monotonic(), await _behind(settings, store), used))
            await asyncio.sleep(1)
        return looks
    finally:
        await store.close()


async def _behind(settings: Settings, store: Store) -> int:
    """Return how many blocks the neural stage has not checkpointed."""
    lags, _ = await progress.read(settings, store)
    return sum(lag.records for lag in lags if lag.stage == "neural")


def _row(looks: list[Look], sent: dict[str, float], peak_mib: int) -> Row:
    first, last = looks[0], looks[-1]
    passed = last.at - first.at
    cores = {name: (last.used[name] - first.used[name]) / passed for name in last.used}
    begin = max(look.behind for look in looks if look.at <= first.at + EDGE_S)
    end = max(look.behind for look in looks if look.at >= last.at - EDGE_S)
    return {
        "name": "neural_live",
        "seconds": round(passed, 1),
        "lag_begin_s": round(begin / BLOCKS, 2),
        "lag_end_s": round(end / BLOCKS, 2),
        "behind_s": sent["behind_s"],
        "mb_per_s": round(sent["bytes"] / sent["took_s"] / 1e6, 1),
        "worker_mib": peak_mib,
        "cores": round(sum(cores.values()), 2),
        **{f"cores_{name}": round(used, 3) for name, used in cores.items()},
    }
