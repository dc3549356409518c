"""One trial: load, a fault in the midst of it, and the comparison with the oracle after it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench.chaos.faults import FAULTS, NEED_DISKS, Fault
from bench.chaos.load import Chunk, Pusher, chunks
from bench.chaos.oracle import Oracle, Outcome
from bench.chaos.platform import Platform
from bench.chaos.saboteur import broken_model

#: Load before and after a fault, in seconds.
BEFORE_S, AFTER_S = 4.0, 2.0
#: The fault that is inside the workers: a rule and a model that raise.
RAISE = "raise_inside"
#: That rule: "AWS offensive tool user agent"; the sample's attacker matches it often.
RULE = "9beace4e-5927-59ba-8527-06bd7bf46c6b"
NAMES = (*FAULTS, RAISE)


class Verdict(NamedTuple):
    """What a trial found; `lost`, `doubled` and `balance` must be 0.

    Attributes
    ----------
    fault
        Its name.
    messages, poison
        Sent in this trial, and how many of them nobody can read.
    lost, doubled
        Rows that are missing, and rows that nobody expected or that are there twice, over
        events, evidence, alerts and dead letters.
    balance
        The ledger's, with what it believes to be under way.
    resume_s
        Seconds until every partition moved on.
    details
        The first differences, in words.
    """

    fault: str
    messages: int
    poison: int
    lost: int
    doubled: int
    balance: int
    resume_s: float
    details: list[str]

    @property
    def clean(self) -> bool:
        """Whether nothing is lost, doubled or unaccounted for."""
        return not (self.lost or self.doubled or self.balance)


class Trials:
    """Trials on one platform, each going on where the last one ended.

    The load is the same for the same `seed`; how much of it falls into which trial is not.
    """

    def __init__(self, home: Path, seed: int) -> None:
        self.platform = Platform(home)
        self.random = Random(seed)
        self._source: Iterator[Chunk] = chunks(seed)
        self._letters = 0
        #: What rules and models raised in the last trial of `RAISE`, by stage and reason.
        self.failures: Counter[tuple[str, str]] = Counter()

    def start(self) -> None:
        """Start the platform and two workers, and make the oracle."""
        self.platform.__enter__()
        self.oracle = Oracle(self.platform.settings)
        for slot in (0, 1):
            self.platform.add(slot, wait=False)
        for worker in list(self.platform.workers.values()):
            worker.wait_ready()

    def stop(self) -> None:
        """Stop everything."""
        self.platform.__exit__(None, None, None)

    def possible(self) -> list[str]:
        """Return the faults that this machine allows."""
        return [name for name in NAMES if self.platform.disks or name not in NEED_DISKS]

    def run(self, name: str) -> Verdict:
        """Run one trial of the fault called `name`."""
        if name != RAISE:
            return self._run(name, FAULTS[name])
        self._change_workers(RULE)
        try:
            with broken_model():
                return self._run(name, self._nothing, RULE)
        finally:
            self.failures = self.platform.failures()
            self._change_workers("")

    def _change_workers(self, rule: str) -> None:
        """Put workers in which `rule` raises, or sound ones, in the place of those that run."""
        for slot in list(self.platform.workers):
            self.platform.remove(slot)
            self.platform.add(slot, rule=rule)

    def _nothing(self, platform: Platform, random: Random) -> float:
        """Do nothing more: the workers themselves are the fault."""
        return time.monotonic()

    def _run(self, name: str, fault: Fault, mute: str = "") -> Verdict:
        pusher = Pusher(self.platform.stack.kafka, self._source)
        try:
            time.sleep(BEFORE_S * (0.5 + self.random.random() / 2))
            resume_s, stuck = self._resumed(fault)
            time.sleep(AFTER_S)
        finally:  # the oracle must know of it, or every trial after this one is wrong, too
            pusher.stop()
            expected = self.oracle.feed(pusher.sent, mute)
            self._letters += pusher.poison
        self.platform.drain()
        return self._verdict(name, pusher, expected, resume_s, stuck)

    def _resumed(self, fault: Fault) -> tuple[float, list[str]]:
        """Break something; return the time until all went on, and what did not."""
        try:
            return self.platform.resumed(fault(self.platform, self.random)), []
        except TimeoutError as error:
            return math.inf, [str(error)]

    def _verdict(
        self, name: str, pusher: Pusher, expected: Outcome, resume_s: float, details: list[str]
    ) -> Verdict:
        if len(expected.letters) != self._letters:
            raise AssertionError(
                f"expected {self._letters} dead letters of the oracle, found "
                f"{len(expected.letters)}: the load's poison is not what it should be"
            )
        lost, doubled, differences = compare(expected, self.platform.stored())
        details += differences
        report = self.platform.ledger()
        if report.balance or report.in_flight:
            details += [str(row) for row in report.rows]
        return Verdict(
            name, len(pusher.sent), pusher.poison, lost, doubled,
            report.balance + report.in_flight, resume_s, details,
        )  # fmt: skip


def compare(expected: Outcome, found: Outcome) -> tuple[int, int, list[str]]:
    """Return how many rows are missing, how many are too many, and the first of them."""
    lost, doubled, details = 0, 0, list[str]()
    pairs: list[tuple[str, Iterable[Hashable], Iterable[Hashable]]] = [
        ("event", expected.events, found.events),
        ("evidence", expected.evidence, found.evidence),
        ("alert and count", expected.alerts.items(), found.alerts.items()),
        ("dead letter", expected.letters, found.letters),
    ]
    for what, wanted, there in pairs:
        missing = Counter(wanted) - Counter(there)
        extra = Counter(there) - Counter(wanted)
        lost += missing.total()
        doubled += extra.total()
        details += [f"lost {what}: {row}" for row in list(missing)[:5]]
        details += [f"unexpected {what}: {row}" for row in list(extra)[:5]]
    return lost, doubled, details
