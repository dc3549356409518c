"""Stimulate: commands reach the stimulators, and all that these do becomes a record.

``neural.commands`` is keyed by tenant and device, so that a device is in one partition and has
its commands in order. What comes of them goes to ``neural.stimuli``: an outcome for every
command, with the device's own code and its state, and every stimulus, call and refusal, which
are also lines of a file of the device in ``stimuli`` of SENTINEL_HOME (`bci.stimulator.audit`). The
ids of commands are kept with the offset: after a crash none is made twice, and none that is
old; the device then begins as one that was switched on, and says so. A script that plays is
looked after when commands come, and otherwise every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson

from bci.stimulator.rig import Command, Rig
from schemas.snapshot import pack, unpack
from sentinel import topics
from sentinel.errors import RecordError, SchemaError
from streams.normalize import DEFAULT_TENANT, TENANT_HEADER
from streams.runtime import telemetry
from streams.runtime.letters import Origin, letter
from streams.runtime.stage import Outgoing, Output, Stage, Task
from streams.transport import RecordBatch

SOURCE = "stimulator"
KIND, VERSION = "streams.stimulate", 1
#: Most characters of a tenant's name.
MOST_NAME = 128


class StimulateTask(Task):
    """One partition of commands, and the devices whose commands are in it.

    Parameters
    ----------
    rig
        The devices; their names here are tenant and device.
    now_ms
        Time, ms since 1970.
    """

    def __init__(
        self,
        rig: Rig | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        super().__init__()
        self._rig, self._now_ms = rig or Rig(), now_ms

    def process(self, batch: RecordBatch) -> Output:
        """Make the calls of a poll, in order."""
        output = Output()
        rows = zip(batch.offsets, batch.values, batch.headers, strict=True)
        for offset, value, headers in rows:
            tenant = _tenant(headers)
            try:
                command = Command.decode(value or b"")
            except SchemaError as error:
                origin = Origin(batch.topic, batch.partition, offset)
                output.records.append(self._refuse(tenant, value or b"", origin, error))
                continue
            named = command._replace(device=f"{tenant}/{command.device}")
            named = named._replace(id=f"{named.device}/{command.id}")
            outcome = self._rig.obey(named, self._now_ms())
            counted = {"in": 1, "duplicate": 1} if outcome is None else {"in": 1, "out": 1}
            self.ledger.add("stimulate", tenant, SOURCE, counted)
            self._tell(output)
            if outcome is not None:
                said = outcome | {"id": command.id, "device": command.device}
                output.records.append(_record(tenant, command.device, said))
        return output

    def _tell(self, output: Output) -> None:
        """Add what the devices have noted."""
        for name, record in self._rig.records():
            tenant, _, device = name.partition("/")
            output.records.append(_record(tenant, device, {"device": device, **record}))

    def _refuse(self, tenant: str, value: bytes, origin: Origin, error: Exception) -> Outgoing:
        """Return the dead letter of a record that is no command, and count it."""
        self.ledger.add("stimulate", tenant, SOURCE, {"in": 1, "dead_lettered": 1})
        telemetry.dead_lettered("stimulate", SOURCE, "schema")
        reason = RecordError("schema", str(error))
        return letter("stimulate", value, tenant, SOURCE, origin, reason).outgoing()

    def waiting(self) -> bool:
        """Return whether a script plays."""
        return self._rig.playing

    def flush(self, next_offset: int) -> Output:
        """Return what scripts came to since the last command."""
        del next_offset
        output = Output()
        self._tell(output)
        return output

    def evictions(self) -> dict[str, int]:
        """Return how many devices were let go to make room."""
        return {"devices": self._rig.dropped}

    def snapshot(self) -> bytes:
        """Return the ids of the commands that were made."""
        return pack(KIND, VERSION, {"seen": self._rig.seen()})

    def restore(self, state: bytes) -> None:
        """Take up what `snapshot` returned."""
        self._rig.remember(unpack(KIND, VERSION, state)["seen"])


def _record(tenant: str, device: str, said: dict[str, object]) -> Outgoing:
    headers = None if tenant == DEFAULT_TENANT else {TENANT_HEADER: tenant}
    key = f"{tenant}/{device}".encode()
    return Outgoing(topics.STIMULI, orjson.dumps(said), key=key, headers=headers)


def _tenant(headers: Iterable[tuple[str, bytes | None]] | None) -> str:
    """Return whose command it is: a header of the record."""
    for name, value in headers or ():
        if name == TENANT_HEADER and value:
            found = value.decode("utf-8", "replace")[:MOST_NAME]
            return found.replace("/", "_")
    return DEFAULT_TENANT


class StimulateStage(Stage):
    """Reads ``neural.commands``, writes ``neural.stimuli``.

    Parameters
    ----------
    folder
        Where devices have their audit, JSON lines; None for none.
    """

    name = "stimulate"

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def topics(self) -> list[str]:
        """Return the topic of commands."""
        return [topics.COMMANDS]

    def task(self, topic: str, partition: int) -> Task:
        """Return the task of a partition, with no devices yet."""
        return StimulateTask(Rig(folder=self._folder))
