"""A call by the name that Blackrock gives it, with arguments from JSON.

This is the boundary: whatever comes in, a code comes out. Types are those of the C API; a
value that its type cannot hold is ``INVALID_PARAMS``, a name that is none ``INVALID_COMMAND``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final

from bci.stimulator.cerestim import CereStim96
from bci.stimulator.codes import Answer, Result

#: Every call there is, in the order of the API.
NAMES: Final = (
    "libVersion", "scanForDevices", "setDevice", "connect", "disconnect", "isConnected",
    "manualStimulus", "measureOutputVoltage", "beginningOfSequence", "endOfSequence",
    "beginningOfGroup", "endOfGroup", "autoStimulus", "wait", "play", "stop", "pause",
    "maxOutputVoltage", "readDeviceInfo", "enableModule", "disableModule",
    "configureStimulusPattern", "readStimulusPattern", "disableStimulusConfiguration",
    "readSequenceStatus", "stimulusMaxValues", "groupStimulus", "triggerStimulus",
    "stopTriggerStimulus", "updateElectrodeChannelMap", "readHardwareValues", "testElectrodes",
    "testModules", "getMinMaxAmplitude", "isDeviceLocked", "isSafetyDisabled", "readEeprom",
    "writeEeprom", "eraseEeprom", "resetStimulator",
)  # fmt: skip
#: Largest number that an argument has, and longest list.
MOST: Final = 2**32 - 1
MOST_ITEMS: Final = 96
#: Calls that read: noted only where they fail.
READS: Final = ("read", "is", "get", "lib", "scan")


def snake(name: str) -> str:
    """Return a name of the API, or of an argument, as Python spells it.

    >>> snake("configureStimulusPattern"), snake("configID"), snake("bankA")
    ('configure_stimulus_pattern', 'config_id', 'bank_a')
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z]+)", lambda found: "_" + found[1], name).lower()


METHODS: Final = {name: snake(name) for name in NAMES}
#: Arguments of each call: name to whether it is a list, and those that must be there.
SIGNATURES: Final[dict[str, tuple[dict[str, bool], frozenset[str]]]] = {
    name: (
        {key: "list" in str(each.annotation) for key, each in parameters.items()},
        frozenset(key for key, each in parameters.items() if each.default is each.empty),
    )
    for name, method in METHODS.items()
    if (
        parameters := {
            key: each
            for key, each in inspect.signature(getattr(CereStim96, method)).parameters.items()
            if key != "self"
        }
    )
    is not None
}


def call(device: CereStim96, name: str, arguments: Mapping[str, Any] | None = None) -> Answer:
    """Make a call; note it, and never raise.

    Parameters
    ----------
    arguments
        By name, in Blackrock's spelling or Python's.

    Examples
    --------
    >>> device = CereStim96()
    >>> call(device, "play", {"times": 1}).result.name
    'NO_DEVICE_SELECTED'
    >>> call(device, "setDevice", {"index": -1}).result.name
    'INVALID_PARAMS'
    >>> call(device, "explode").result.name
    'INVALID_COMMAND'
    """
    given = arguments if isinstance(arguments, Mapping) else {}
    answer = _called(device, name, given)
    if answer.result or not str(name).startswith(READS):
        shown = {_shown(key): value for key, value in given.items() if _fits(value)}
        device.note(_shown(name), shown, answer.result)
    return answer


def _shown(name: Any) -> str:
    """Return a name that anyone may have made up as a record can hold it."""
    return ascii(name)[1:-1][:40] if isinstance(name, str) else type(name).__name__


def _called(device: CereStim96, name: str, given: Mapping[str, Any]) -> Answer:
    if not isinstance(name, str) or name not in METHODS:
        return Answer(Result.INVALID_COMMAND)
    known, needed = SIGNATURES[name]
    values = {snake(str(key)): value for key, value in given.items()}
    if not needed <= set(values) <= set(known):
        return Answer(Result.INVALID_PARAMS)
    for key, value in values.items():
        if isinstance(value, list) is not known[key] or not _fits(value):
            return Answer(Result.INVALID_PARAMS)
    answer: Answer = getattr(device, METHODS[name])(**values)
    return answer


def _fits(value: Any) -> bool:
    """Return whether a value is an unsigned number of 32 bits, or a short list of them."""
    if isinstance(value, list):
        return len(value) <= MOST_ITEMS and all(
            not isinstance(item, list) and _fits(item) for item in value
        )
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST
