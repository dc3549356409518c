"""Stimulators that take commands as JSON: each command once, none that is old, all answered.

A command is an object with ``id``, ``device``, ``call``, ``arguments`` and ``time_ms`` (when
it was given, ms since 1970). A stimulus that comes late is another stimulus: what is older
than `MOST_AGE_MS` is refused, as is a command whose id was seen. A device begins as one that
was just switched on; whoever uses it connects first.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from bci.stimulator.audit import Audit, Record
from bci.stimulator.calls import call
from bci.stimulator.cerestim import CereStim96
from bci.stimulator.clock import Clock, PacedClock
from bci.stimulator.codes import Result, Status
from bci.stimulator.safety import SafetySettings
from sentinel.errors import SchemaError

#: ms after which a command is no longer obeyed.
MOST_AGE_MS: Final = 2_000
#: Devices, ids of commands, and characters of a name that are kept.
MOST_DEVICES, MOST_SEEN, MOST_NAME = 64, 10_000, 128
#: Records between two answers; a script that plays may give any number.
MOST_RECORDS: Final = 10_000


class Command(NamedTuple):
    """A call to a device."""

    id: str
    device: str
    call: str
    arguments: dict[str, Any]
    time_ms: int

    @classmethod
    def decode(cls, data: bytes) -> Command:
        """Read a command; raise SchemaError where it is none.

        >>> Command.decode(b'{"id":"1","device":"a","call":"play","time_ms":5}').call
        'play'
        """
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise SchemaError(f"expected a command as JSON, found: {error}") from error
        if not isinstance(found, dict):
            raise SchemaError(f"expected a JSON object, found {type(found).__name__}")
        texts = [found.get(name) for name in ("id", "device", "call")]
        arguments, time_ms = found.get("arguments", {}), found.get("time_ms")
        named = all(
            isinstance(text, str) and 0 < len(text) <= MOST_NAME and text.isprintable()
            for text in texts
        )
        timed = isinstance(time_ms, int) and not isinstance(time_ms, bool)
        if not named or not timed or not isinstance(arguments, dict):
            raise SchemaError(
                "expected printable texts in id, device, call, an object in arguments, a number in "
                f"time_ms, found {texts!r:.200} and {time_ms!r:.40}"
            )
        return cls(str(texts[0]), str(texts[1]), str(texts[2]), arguments, int(time_ms or 0))


class Rig:
    """The stimulators of one place.

    Parameters
    ----------
    safety
        Limits of all of them.
    clock
        Makes a clock for each.
    folder
        Where each has its audit, a file of JSON lines; None for none.
    """

    def __init__(
        self,
        safety: SafetySettings | None = None,
        clock: Callable[[], Clock] = PacedClock,
        folder: Path | None = None,
    ) -> None:
        self._safety, self._clock, self._folder = safety, clock, folder
        self._devices: OrderedDict[str, CereStim96] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._records: list[tuple[str, Record]] = []
        self.dropped = 0

    def obey(self, command: Command, now_ms: int) -> dict[str, Any] | None:
        """Make a call and return its outcome; None for one that was made already.

        The outcome has ``result`` (the device's code, or None where the command was refused as
        too old, with ``refused``), ``output``, and the ``state`` after it.
        """
        if command.id in self._seen:
            return None
        self._seen[command.id] = None
        while len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)
        device = self._device(command.device)
        outcome: dict[str, Any] = {
            "kind": "outcome", "id": command.id, "device": command.device,
            "call": command.call, "time_ms": now_ms, "result": None, "output": None,
        }  # fmt: skip
        age = now_ms - command.time_ms
        if age > MOST_AGE_MS:
            refused = f"expected a command of the last {MOST_AGE_MS} ms, found one {age} ms old"
            return outcome | {"refused": refused, "state": shown(device)}
        answer = call(device, command.call, command.arguments)
        outcome |= {"result": int(answer.result), "name": answer.result.name.lower()}
        return outcome | {"output": answer.output, "state": shown(device)}

    def _device(self, name: str) -> CereStim96:
        """Return a device; one that was used longest ago is let go for a new one."""
        if name not in self._devices:
            if len(self._devices) >= MOST_DEVICES:
                self._devices.popitem(last=False)
                self.dropped += 1
            audit = Audit(self._file(name), lambda record: self._keep(name, record))
            self._devices[name] = CereStim96(self._clock(), audit, safety=self._safety)
        self._devices.move_to_end(name)
        return self._devices[name]

    def _file(self, name: str) -> Path | None:
        """Return where a device's audit is: its name, and what tells it from like ones."""
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        readable = re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:64]
        return self._folder / f"{readable}-{zlib.crc32(name.encode()):08x}.jsonl"

    def _keep(self, name: str, record: Record) -> None:
        self._records.append((name, record))

    def records(self) -> list[tuple[str, Record]]:
        """Return what devices have noted since the last time, up to now: device, record."""
        for device in self._devices.values():
            device.read_sequence_status()
        taken, self._records = self._records[:MOST_RECORDS], self._records[MOST_RECORDS:]
        return taken

    @property
    def playing(self) -> bool:
        """Whether a device plays a script, or there are records left."""
        at_work = (device.state.status is Status.PLAYING for device in self._devices.values())
        return bool(self._records) or any(at_work)

    def seen(self) -> list[str]:
        """Return the ids of commands that were made, oldest first."""
        return list(self._seen)

    def remember(self, ids: list[str]) -> None:
        """Take up what `seen` returned."""
        self._seen = OrderedDict.fromkeys(ids)


def shown(device: CereStim96) -> dict[str, Any]:
    """Return the state of a device as people see it."""
    state = device.state
    sequence = device.read_sequence_status()
    return {
        "connected": bool(device.is_connected().output),
        "locked": state.locked,
        "sequence": sequence.output if sequence.result is Result.SUCCESS else None,
        "patterns": sorted(set(state.patterns) - state.disabled),
        "commands": state.script.written,
        "voltage": state.voltage,
        "trigger": int(state.edge),
    }
