"""From the push of an event to its row in PostgreSQL, at 2,000 events a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import orjson
import psycopg

from bench._with.context import Context
from bench._with.platform import platform
from bench.measure import Row, percentile
from schemas.identity import event_uid
from sentinel.kafka import Producer
from sentinel.settings import Settings
from sentinel.topics import raw

RATE, SECONDS, WARM_S = 2000, 20, 5
#: One event in so many is looked for.
EVERY = 20
#: Time between two looks, in seconds: how exact the figures are (too high by up to as much).
#: More looks would measure themselves: every 5 ms they took a fifth of two cores.
LOOK_S = 0.02
#: Seconds between two bursts of the sender.
TICK_S = 0.005
LONGEST_S = 30.0
_LOOK = "SELECT uid FROM events WHERE uid = ANY(%s::uuid[])"


def run(context: Context) -> Iterator[Row]:
    """Push at a steady rate and look for a sample of the rows until they are there."""
    raws = context.sample.raws[: RATE * (SECONDS + WARM_S)]
    with platform(context) as running:
        watch = _Watch(running.settings())
        watch.start()
        _push(running.settings(), raws, watch)
        watch.join(LONGEST_S)
    took = [ms for ms, pushed_s in watch.found if pushed_s >= WARM_S]
    missing = len(watch.waiting)
    yield {
        "name": "latency",
        "p50_ms": round(percentile(took, 50), 1),
        "p99_ms": round(percentile(took, 99), 1),
        "events_per_s": RATE,
        "samples": len(took),
        "missing": missing,
    }


def _push(settings: Settings, raws: Sequence[bytes], watch: _Watch) -> None:
    with Producer(settings) as producer:
        watch.started = started = time.monotonic()
        for count, each in enumerate(raws):
            ahead = started + count / RATE - time.monotonic()
            if ahead > TICK_S:
                time.sleep(ahead)
            if count % EVERY == 0:
                native = orjson.loads(each)["eventID"]
                watch.waiting[event_uid("default", "cloudtrail", native)] = time.monotonic()
            producer.send(raw("cloudtrail"), each)
    watch.pushed = True


class _Watch(threading.Thread):
    """Looks for rows and notes when they are there."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._dsn = settings.postgres
        #: When the events not yet seen were pushed, by id.
        self.waiting: dict[bytes, float] = {}
        #: Milliseconds that each took, and when it was pushed, in seconds since the start.
        self.found: list[tuple[float, float]] = []
        self.pushed = False
        self.started = 0.0

    def run(self) -> None:
        """Look until all that was pushed is there."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("SELECT set_config('sentinel.tenant', '*', false)")
            while self.waiting or not self.pushed:
                wanted = [key.hex() for key in list(self.waiting)]
                rows = connection.execute(_LOOK, (wanted,)).fetchall() if wanted else []
                now = time.monotonic()
                for (uid,) in rows:
                    at = self.waiting.pop(uid.bytes)
                    self.found.append(((now - at) * 1000, at - self.started))
                time.sleep(LOOK_S)
