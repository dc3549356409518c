"""The link to the device, and what it is: everything that stimulates nothing of the script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bci.stimulator.audit import Audit
from bci.stimulator.clock import Clock, ManualClock
from bci.stimulator.codes import OK, Answer, Module, Result, Status, Trigger
from bci.stimulator.pattern import ELECTRODES, MICRO, VOLTAGES, Hardware, Maxima, Pattern
from bci.stimulator.safety import Charge, SafetySettings
from bci.stimulator.script import Script

MODULES: Final = 16
EEPROM: Final = 256
#: µs that a call over USB takes on average (API reference, groupStimulus), that programming a
#: stimulus takes, and a group in one call (knowledge base, "groupStimulus").
CALL_US, AUTO_US, GROUP_US = 2_000, 4_000, 6_000
#: Version of the library, of the motherboard's firmware, of its protocol.
LIBRARY: Final = {"major": 5, "minor": 3, "release": 0, "beta": 0}
FIRMWARE, PROTOCOL = 0x0500, 0x0105
#: Part number of the micro stimulator with 16 modules, in the upper byte of serial numbers.
PART: Final = 7
BANK: Final = 32


@dataclass(slots=True)
class State:
    """What the device holds."""

    patterns: dict[int, Pattern] = field(default_factory=dict)
    disabled: set[int] = field(default_factory=set)
    maxima: Maxima = field(default_factory=Maxima)
    voltage: int = VOLTAGES[-1]
    modules: list[Module] = field(default_factory=list)
    script: Script = field(default_factory=Script)
    status: Status = Status.STOPPED
    edge: Trigger = Trigger.DISABLED
    locked: bool = False
    channels: list[int] = field(default_factory=lambda: list(range(1, ELECTRODES + 1)))


class Linked:
    """The part of a CereStim 96 that is about the link, the modules and the electrodes.

    Parameters
    ----------
    clock
        Time; calls take some of it.
    audit
        Where calls and stimuli are noted.
    hardware, modules
        Model, and how many of its 16 places have a current module.
    safety
        Limits beyond the device's.
    impedance
        Ω of an electrode, for what voltage allows and for tests.
    configured
        False: the number of modules is not what the device was set up for; it is locked.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        audit: Audit | None = None,
        *,
        hardware: Hardware = MICRO,
        modules: int = MODULES,
        safety: SafetySettings | None = None,
        impedance: Callable[[int], float] = lambda electrode: 40_000.0,
        configured: bool = True,
        serial: int = 96,
    ) -> None:
        self._clock = clock or ManualClock()
        self._audit = audit or Audit()
        self._hardware, self._installed = hardware, modules
        self._safety = safety or SafetySettings()
        self._impedance, self._configured = impedance, configured
        self._serial = PART << 24 | serial
        self._selected = self._connected = False
        self._eeprom = bytearray(b"\xff" * EEPROM)
        self._power_on()

    def _power_on(self) -> None:
        """Begin as the device does after a reset."""
        installed = [Module.ENABLED] * self._installed
        missing = [Module.UNAVAILABLE] * (MODULES - self._installed)
        self.state = State(modules=installed + missing, locked=not self._configured)
        model = self._hardware
        self.state.maxima = Maxima(amplitude=model.amplitude[1], charge_pc=model.charge_pc)
        self._charge = Charge(self._safety)
        self._begin_play()

    def _begin_play(self) -> None:
        """Be at the beginning of the script."""

    def _settle(self) -> None:
        """Do what the script has come to by now."""

    def _ready(self, *, stimulates: bool = False) -> Result:
        """Return why a call is not possible now; success where it is. Takes a call's time."""
        if not self._selected:
            return Result.NO_DEVICE_SELECTED
        if not self._connected:
            return Result.DISCONNECTED
        self._clock.sleep(CALL_US)
        self._settle()
        if self.state.edge is not Trigger.DISABLED:
            return Result.SEQUENCE_ERROR
        if stimulates and self.state.locked:
            return Result.DEVICE_LOCKED
        return Result.SUCCESS

    def note(self, name: str, arguments: dict[str, Any], result: Result) -> None:
        """Note a call."""
        self._audit.write(
            "call", self._clock.now(), name=name, arguments=arguments, result=int(result)
        )

    @property
    def _enabled(self) -> int:
        return sum(module is Module.ENABLED for module in self.state.modules)

    # --- the link

    def lib_version(self) -> Answer:
        """Return the version of the library."""
        return Answer(Result.SUCCESS, dict(LIBRARY))

    def scan_for_devices(self) -> Answer:
        """Return the serial numbers of the devices there are."""
        return Answer(Result.SUCCESS, [self._serial])

    def set_device(self, index: int) -> Answer:
        """Choose a device by its place in what `scan_for_devices` gave."""
        if self._connected:
            return Answer(Result.CONNECTED)
        if index != 0:
            return Answer(Result.INVALID_PARAMS)
        self._selected = True
        return OK

    def connect(self, interface: int = 0) -> Answer:
        """Connect over an interface: 0 default, 1 USB of Windows, 2 Cypress' USB."""
        if not self._selected:
            return Answer(Result.NO_DEVICE_SELECTED)
        if self._connected:
            return Answer(Result.CONNECTED)
        if not 0 <= interface <= 2:
            return Answer(Result.INVALID_INTERFACE)
        self._clock.sleep(CALL_US)
        self._connected = True
        return OK

    def disconnect(self) -> Answer:
        """Disconnect; a script that plays is stopped."""
        if not self._connected:
            return Answer(Result.DISCONNECTED)
        self._settle()
        self._connected = False
        self.state.edge = Trigger.DISABLED
        self.state.status = Status.STOPPED
        self._begin_play()
        return OK

    def is_connected(self) -> Answer:
        """Return 1 where connected, else 0."""
        return Answer(Result.SUCCESS, int(self._connected))

    def is_device_locked(self) -> Answer:
        """Return 1 where nothing can be stimulated, else 0."""
        return self._told(int(self.state.locked))

    def is_safety_disabled(self) -> Answer:
        """Return 0: the limits cannot be switched off here."""
        return self._told(0)

    def reset_stimulator(self) -> Answer:
        """Start the device anew: patterns, script, limits and lock; then connect again."""
        if not self._connected:
            return Answer(Result.DISCONNECTED)
        self._settle()
        self._connected = False
        self._power_on()
        return OK

    # --- what the device is

    def _told(self, output: Any) -> Answer:
        """Return something that can be asked at any time while connected."""
        if not self._selected:
            return Answer(Result.NO_DEVICE_SELECTED)
        return Answer(Result.SUCCESS, output) if self._connected else Answer(Result.DISCONNECTED)

    def read_device_info(self) -> Answer:
        """Return serial number, firmware and modules."""
        if code := self._ready():
            return Answer(code)
        state = self.state
        versions = [0 if each is Module.UNAVAILABLE else FIRMWARE for each in state.modules]
        return Answer(
            Result.SUCCESS,
            {
                "serialNo": self._serial,
                "mainboardVersion": FIRMWARE,
                "protocolVersion": PROTOCOL,
                "moduleStatus": [int(module) for module in state.modules],
                "moduleVersion": versions,
            },
        )

    def read_hardware_values(self) -> Answer:
        """Return what the model can do."""
        if code := self._ready():
            return Answer(code)
        model = self._hardware
        return Answer(
            Result.SUCCESS,
            {
                "amp": model.amplitude[1],
                "maxCompVoltage": VOLTAGES[-1],
                "minCompVoltage": VOLTAGES[0],
                "charge": model.charge_pc,
                "maxFreq": model.frequency[1],
                "minFreq": model.frequency[0],
                "width": model.width_us,
                "interphase": model.interphase_us[1],
                "modules": self._installed,
            },
        )

    def get_min_max_amplitude(self) -> Answer:
        """Return the highest amplitude in the upper 16 bits, the lowest in the lower, µA."""
        low, high = self._hardware.amplitude
        return self._told(high << 16 | low)

    def read_eeprom(self) -> Answer:
        """Return the 256 bytes of the motherboard's memory."""
        code = self._ready()
        return Answer(code) if code else Answer(code, list(self._eeprom))

    def write_eeprom(self, address: int, value: int) -> Answer:
        """Write a byte of the motherboard's memory."""
        if code := self._ready():
            return Answer(code)
        if not (0 <= address < EEPROM and 0 <= value <= 255):
            return Answer(Result.INVALID_PARAMS)
        self._eeprom[address] = value
        return OK

    def erase_eeprom(self) -> Answer:
        """Set the motherboard's memory to 255."""
        if code := self._ready():
            return Answer(code)
        self._eeprom[:] = b"\xff" * EEPROM
        return OK

    def update_electrode_channel_map(
        self, bank_a: list[int], bank_b: list[int], bank_c: list[int]
    ) -> Answer:
        """Say which electrode is on which channel, 32 a bank."""
        if code := self._ready():
            return Answer(code)
        banks = (bank_a, bank_b, bank_c)
        channels = [electrode for bank in banks for electrode in bank]
        whole = all(len(bank) == BANK for bank in banks)
        if not whole or sorted(channels) != list(range(1, ELECTRODES + 1)):
            return Answer(Result.INVALID_PARAMS)
        self.state.channels = channels
        return OK

    # --- modules and electrodes

    def enable_module(self, module: int) -> Answer:
        """Enable a current module, 0 to 15."""
        return self._switch(module, Module.DISABLED, Module.ENABLED, Result.MODULE_ENABLED)

    def disable_module(self, module: int) -> Answer:
        """Disable a current module, 0 to 15."""
        return self._switch(module, Module.ENABLED, Module.DISABLED, Result.MODULE_DISABLED)

    def _switch(self, module: int, old: Module, new: Module, already: Result) -> Answer:
        if code := self._ready():
            return Answer(code)
        if not 0 <= module < MODULES:
            return Answer(Result.INVALID_MODULE)
        if self.state.status is not Status.STOPPED:
            return Answer(Result.SEQUENCE_ERROR)
        if self.state.modules[module] is Module.UNAVAILABLE:
            return Answer(Result.MODULE_UNAVAILABLE)
        if self.state.modules[module] is not old:
            return Answer(already)
        self.state.modules[module] = new
        return OK

    def test_electrodes(self) -> Answer:
        """Stimulate every electrode with the device's own pattern; return mV and Ω."""
        if code := self._ready(stimulates=True):
            return Answer(code)
        if self.state.status is not Status.STOPPED:
            return Answer(Result.SEQUENCE_ERROR)
        measured = [self._measure(electrode) for electrode in range(1, ELECTRODES + 1)]
        ohms = [round(self._impedance(electrode)) for electrode in range(1, ELECTRODES + 1)]
        return Answer(Result.SUCCESS, {"electrodes": measured, "impedance": ohms})

    def test_modules(self) -> Answer:
        """Test the current modules on a known load; return mV and their state."""
        if code := self._ready():
            return Answer(code)
        there = [module is not Module.UNAVAILABLE for module in self.state.modules]
        load = round(self._hardware.test_ua * 10)  # mV at 10 kΩ
        return Answer(
            Result.SUCCESS,
            {
                "modulesMV": [[0, -load, 0, load, 0] if each else [0] * 5 for each in there],
                "modulesStatus": [int(Module.OK if each else Module.UNAVAILABLE) for each in there],
            },
        )

    def measure_output_voltage(self, module: int, electrode: int) -> Answer:
        """Send the device's own pattern from a module to an electrode; return five mV."""
        if code := self._ready(stimulates=True):
            return Answer(code)
        if not 0 <= module < MODULES:
            return Answer(Result.INVALID_MODULE)
        if not 1 <= electrode <= ELECTRODES:
            return Answer(Result.INVALID_CHANNEL)
        if self.state.status is not Status.STOPPED:
            return Answer(Result.SEQUENCE_ERROR)
        if self.state.modules[module] is not Module.ENABLED:
            return Answer(Result.MODULE_UNAVAILABLE)
        return Answer(Result.SUCCESS, self._measure(electrode))

    def _measure(self, electrode: int) -> list[int]:
        """Return mV before, in, between, in and after the phases of a test; note the stimulus."""
        ua = self._hardware.test_ua
        most = round(1000 * volts(self.state.voltage))
        found = min(most, round(ua * self._impedance(electrode) / 1000))
        self._audit.write(
            "stimulus", self._clock.now(), electrode=electrode, config=0, origin="test", amp1=ua
        )
        return [0, -found, 0, found, 0]


def volts(code: int) -> float:
    """Return the compliance voltage of a code, V.

    >>> round(volts(7), 1), round(volts(15), 1)
    (4.7, 9.5)
    """
    return 0.5 + 0.6 * code
