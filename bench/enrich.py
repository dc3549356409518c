"""Looking up addresses, names and hashes among a million indicators."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Final

import psutil

from bench._with.context import Context
from bench.measure import Meter, Row
from detectors.enrich.indicators import DOMAIN, HASH, IP, KINDS, URL, Indicator
from detectors.enrich.table import IndicatorTable

INDICATORS: Final = 1_000_000
BATCH: Final = 5_000
BATCHES: Final = 20
#: Share of look-ups that match something.
HITS: Final = 0.01
NOW: Final = 1_780_000_000


def run(context: Context) -> Iterator[Row]:
    """Build the table of a million, then look up values of each kind, 1 % of which are in it."""
    before, started = _resident(), time.process_time()
    table = IndicatorTable(_indicators(INDICATORS))
    built = time.process_time() - started
    size = {
        "indicators": INDICATORS,
        "build_s": round(built, 1),
        "tables_mb": round(table.size / 1e6, 1),
        "resident_more_mb": round((_resident() - before) / 1e6),
    }
    raws = context.sample.raws[:BATCH]
    for kind in (IP, DOMAIN, URL, HASH):
        yield _measure(table, kind, raws) | (size if kind == IP else {})


def _measure(table: IndicatorTable, kind: str, raws: list[bytes]) -> Row:
    """Look up batches of distinct values."""
    rng = random.Random(len(kind))
    asked = [
        [
            _value(kind, rng.randrange(INDICATORS) if rng.random() < HITS else -1, rng)
            for _ in range(BATCH)
        ]
        for _ in range(BATCHES)
    ]
    meter, matched = Meter(), 0
    for warm in (True, False):
        meter.begin()
        for values in asked:
            meter.yardstick(raws)
            found = table.find(kind, values, NOW)
            meter.note(len(values))
            matched += 0 if warm else len(found)
    return meter.row(f"enrich_{kind}", matched=matched)


def _value(kind: str, number: int, rng: random.Random) -> str:
    """Return the value of an indicator, or one that is none where `number` is negative."""
    if number < 0:
        number = rng.randrange(INDICATORS) + 7 * INDICATORS
    if kind == IP:
        return f"{number >> 20 & 127 | 16}.{number >> 12 & 255}.{number >> 4 & 255}.{number % 199}"
    if kind == HASH:
        return f"{number:064x}"
    name = f"w{number % 9}.host-{number}.example.{'net' if number < INDICATORS else 'org'}"
    return name if kind == DOMAIN else f"https://{name}/a/{number}"


def _indicators(count: int) -> Iterator[Indicator]:
    rng = random.Random(1)
    for number in range(count):
        kind = KINDS[number % 4]
        value = _value(kind, number, rng)
        if kind == IP and number % 40 == 0:
            value = value.rpartition(".")[0] + ".0/24"
        yield Indicator(kind, value, f"feed {number % 7}", 50 + number % 50, NOW - number)


def _resident() -> int:
    """Return the bytes that this process has in memory."""
    return int(psutil.Process().memory_info().rss)
