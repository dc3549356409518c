"""The faults: each a function that breaks one thing, waits until it is whole, and says when.

Each is called under load, with two workers (slots 0 and 1) running, and leaves two running.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from random import Random

from bench.chaos.platform import Platform
from bench.chaos.proxy import Proxy

#: The workers' session timeout, after which their partitions go to others, in seconds.
SESSION_S = 10.0
FROZEN_S = 15.0
#: Longer than the workers' longest limit, that for taking partitions over.
AWAY_S = 75.0
#: A line that is slow: seconds from one drop to the next, and how long.
LAG_S, SLOW_S = 0.1, 15.0
#: A disk that is full: seconds before and after a part on it is killed.
FULL_S = 6.0
#: No stage with the one that it feeds.
HALVES = (("normalize", "correlate"), ("detect", "persist", "dead_letter"))
#: Breaks something; returns the moment (`time.monotonic`) from which to await progress.
Fault = Callable[[Platform, Random], float]


def kill_worker(platform: Platform, random: Random) -> float:
    """Kill -9 of a worker; its supervisor starts it again, which counts."""
    return _kill(platform, [random.choice((0, 1))])


def kill_all_workers(platform: Platform, random: Random) -> float:
    """Kill -9 of every worker at once."""
    return _kill(platform, list(platform.workers))


def _kill(platform: Platform, slots: Sequence[int]) -> float:
    """Kill workers; return when their supervisors have started them again."""
    for slot in slots:
        platform.kill(slot)
    while any(platform.workers[slot].pid is None for slot in slots):
        time.sleep(0.05)
    return time.monotonic()


def kill_stages(platform: Platform, random: Random) -> float:
    """Kill -9 of some stages while others go on, which are in workers of their own meanwhile."""
    for slot, stages in enumerate(HALVES):
        platform.remove(slot)
        platform.add(slot, stages=stages)
    for slot in random.sample((0, 1, 0, 1), 4):
        platform.workers[slot].wait_ready()
        time.sleep(random.random())
        platform.kill(slot)
    for slot in (0, 1):
        platform.remove(slot)
        platform.add(slot)
    return time.monotonic()


def freeze_worker(platform: Platform, random: Random) -> float:
    """SIGSTOP past the session timeout, then SIGCONT: another has its partitions meanwhile."""
    slot = random.choice((0, 1))
    worker = platform.workers[slot]
    platform.kill(slot, signal.SIGSTOP)
    stopped = time.monotonic()
    time.sleep(SESSION_S)
    try:
        platform.resumed(stopped + SESSION_S)
        time.sleep(max(0.0, stopped + FROZEN_S - time.monotonic()))
    finally:
        worker.kill(signal.SIGCONT)
    return time.monotonic()


def restart_worker(platform: Platform, random: Random) -> float:
    """SIGTERM in the midst of work, then a new start in the same slot: a new release."""
    slot = random.choice((0, 1))
    platform.remove(slot)
    began = time.monotonic()
    platform.add(slot, wait=False)
    return began


def freeze_broker(platform: Platform, random: Random) -> float:
    """SIGSTOP of Kafka for longer than the session timeout, then SIGCONT."""
    platform.stack.kill("kafka", signal.SIGSTOP)
    time.sleep(SESSION_S + 2)
    platform.stack.kill("kafka", signal.SIGCONT)
    return time.monotonic()


def kill_broker(platform: Platform, random: Random) -> float:
    """Kill -9 of Kafka; the stack starts it again."""
    return _kill_part(platform, "kafka")


def kill_postgres(platform: Platform, random: Random) -> float:
    """Kill -9 of PostgreSQL; the stack starts it again."""
    return _kill_part(platform, "postgres")


def _kill_part(platform: Platform, name: str) -> float:
    part = platform.stack.services[name]
    restarts = part.restarts
    platform.stack.kill(name)
    while part.restarts == restarts:
        time.sleep(0.05)
    part.wait_ready()
    return time.monotonic()


def cut_at_commit(platform: Platform, random: Random) -> float:
    """Cut connections to PostgreSQL between a commit and its reply, three times."""
    platform.postgres.cut_at_commit(3)
    while platform.postgres.commits_to_cut:
        time.sleep(0.05)
    return time.monotonic()


def cut_postgres(platform: Platform, random: Random) -> float:
    """Cut every connection to PostgreSQL, three times."""
    for _ in range(3):
        platform.postgres.cut()
        time.sleep(random.random())
    return time.monotonic()


def cut_kafka(platform: Platform, random: Random) -> float:
    """Cut every connection to Kafka, three times."""
    for _ in range(3):
        platform.kafka.cut()
        time.sleep(random.random())
    return time.monotonic()


def lose_postgres(platform: Platform, random: Random) -> float:
    """PostgreSQL is out of the workers' reach for longer than anything waits."""
    return _lose(platform.postgres)


def lose_kafka(platform: Platform, random: Random) -> float:
    """Kafka is out of everyone's reach for longer than anything waits."""
    return _lose(platform.kafka)


def _lose(way: Proxy) -> float:
    way.away = True
    way.cut()
    time.sleep(AWAY_S)
    way.away = False
    return time.monotonic()


def slow_postgres(platform: Platform, random: Random) -> float:
    """Slow the line to PostgreSQL down: 160 kB a second, each way 0.1 s late."""
    return _slow(platform.postgres)


def slow_kafka(platform: Platform, random: Random) -> float:
    """Slow the line to Kafka down, for the workers and for who sends."""
    return _slow(platform.kafka)


def _slow(way: Proxy) -> float:
    way.lag_s = LAG_S
    time.sleep(SLOW_S)
    way.lag_s = 0.0
    return time.monotonic()


def fill_disks(platform: Platform, random: Random) -> float:
    """Leave no space for anything: Kafka, PostgreSQL, logs, notes."""
    return _fill(platform, random, *platform.disks)


def fill_kafka(platform: Platform, random: Random) -> float:
    """Leave no space on Kafka's disk."""
    return _fill(platform, random, "kafka")


def fill_postgres(platform: Platform, random: Random) -> float:
    """Leave no space on PostgreSQL's disk."""
    return _fill(platform, random, "postgres")


def _fill(platform: Platform, random: Random, *names: str) -> float:
    """Fill disks for a while, and kill a part on one; return when all is up again."""
    part = random.choice([name for name in names if name])
    with ExitStack() as full:
        for name in names:
            full.enter_context(platform.disks[name].full())
        time.sleep(FULL_S)
        platform.stack.kill(part)  # what has kept running must start without space
        time.sleep(FULL_S)
    for each in platform.stack.services.values():
        each.wait_ready()
    return time.monotonic()


def resize(platform: Platform, random: Random) -> float:
    """Add a worker, take one away, put it back, take the third away."""
    gone = random.choice((0, 1))
    platform.add(2)
    time.sleep(1 + random.random())
    platform.remove(gone)
    time.sleep(1 + random.random())
    platform.add(gone)
    time.sleep(1 + random.random())
    platform.remove(2)
    return time.monotonic()


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_worker,
        kill_all_workers,
        kill_stages,
        freeze_worker,
        restart_worker,
        kill_broker,
        freeze_broker,
        kill_postgres,
        cut_at_commit,
        cut_postgres,
        cut_kafka,
        lose_postgres,
        lose_kafka,
        slow_postgres,
        slow_kafka,
        fill_disks,
        fill_kafka,
        fill_postgres,
        resize,
    )
}

#: Those that need disks of their own, which only some machines allow.
NEED_DISKS = {"fill_disks", "fill_kafka", "fill_postgres"}
