"""A stimulator on a table: the device, a clock that tests move, and what it noted."""

from __future__ import annotations

from typing import Any

import pytest

from bci.stimulator import CereStim96, ManualClock, Status
from bci.stimulator.audit import Audit, Record
from bci.stimulator.codes import Result

#: What a pattern that is allowed looks like.
GOOD = {
    "config_id": 1, "afcf": 1, "pulses": 10, "amp1": 50, "amp2": 50,
    "width1": 200, "width2": 200, "frequency": 100, "interphase": 53,
}  # fmt: skip


class Bench:
    """A device, its clock, and what it has noted."""

    def __init__(self, **more: Any) -> None:
        self.clock = ManualClock()
        self.records: list[Record] = []
        self.device = CereStim96(self.clock, Audit(tell=self.records.append), **more)
        assert not self.device.set_device(0).result
        assert not self.device.connect().result

    def set(self, **changes: Any) -> Result:
        return self.device.configure_stimulus_pattern(**GOOD | changes).result

    def script(self, *electrodes: int, wait_ms: int = 0) -> None:
        """Write a script that stimulates electrodes one after the other, then waits."""
        assert not self.device.beginning_of_sequence().result
        for electrode in electrodes:
            assert not self.device.auto_stimulus(electrode, 1).result
        if wait_ms:
            assert not self.device.wait(wait_ms).result
        assert not self.device.end_of_sequence().result

    def go_on(self, ms: int) -> Status:
        """Let time pass; return the state then."""
        self.clock.sleep(1000 * ms)
        return Status(self.device.read_sequence_status().output)

    @property
    def stimuli(self) -> list[tuple[int, int]]:
        """Return time, ms, and electrode of every stimulus."""
        return [(r["at_us"] // 1000, r["electrode"]) for r in self.of("stimulus")]

    def of(self, kind: str) -> list[Record]:
        return [record for record in self.records if record["kind"] == kind]


@pytest.fixture
def make() -> type[Bench]:
    """Return `Bench`, for tests of other models and limits."""
    return Bench


@pytest.fixture
def bench() -> Bench:
    """Return a device with pattern 1 set."""
    made = Bench()
    assert made.set() is Result.SUCCESS
    return made


@pytest.fixture
def good() -> dict[str, int]:
    """Return what a pattern that is allowed looks like."""
    return dict(GOOD)
