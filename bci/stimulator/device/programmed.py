"""Programming the device: limits, patterns, sequences."""

from __future__ import annotations

from dataclasses import asdict

from bci.stimulator.codes import OK, Answer, Result, Status
from bci.stimulator.device.linked import AUTO_US, CALL_US, Linked, volts
from bci.stimulator.pattern import ELECTRODES, PATTERNS, VOLTAGES, Maxima, Pattern, check
from bci.stimulator.script import MOST_COMMANDS, Script, Stimulus


class Programmed(Linked):
    """The part of a CereStim 96 that takes patterns and scripts."""

    def _idle(self) -> Result:
        """Return why patterns and limits cannot be changed now; success where they can."""
        if code := self._ready(stimulates=True):
            return code
        stopped = self.state.status in (Status.STOPPED, Status.PAUSED)
        return Result.SUCCESS if stopped else Result.SEQUENCE_ERROR

    # --- limits

    def max_output_voltage(self, rw: int, voltage: int = 0) -> Answer:
        """Read (0) or set (1) the compliance voltage by its code; return it in mV."""
        if rw not in (0, 1):
            return Answer(Result.INVALID_RWR)
        if code := self._ready():
            return Answer(code)
        if rw:
            if voltage not in VOLTAGES:
                return Answer(Result.INVALID_VOLTAGE)
            if voltage > self.state.maxima.voltage:
                return Answer(Result.VOLT_GREAT_MAX)
            if self.state.status is Status.PLAYING:
                return Answer(Result.SEQUENCE_ERROR)
            self.state.voltage = voltage
        return Answer(Result.SUCCESS, round(1000 * volts(self.state.voltage)))

    def stimulus_max_values(
        self,
        rw: int,
        voltage: int = 0,
        amplitude: int = 0,
        phase_charge: int = 0,
        frequency: int = 0,
    ) -> Answer:
        """Read (0) or set (1) the researcher's limits: code, µA, pC, Hz."""
        if rw not in (0, 1):
            return Answer(Result.INVALID_RWR)
        if code := self._ready():
            return Answer(code)
        if rw:
            model = self._hardware
            rules = (
                (voltage not in VOLTAGES, Result.INVALID_VOLTAGE),
                (amplitude < model.amplitude[0], Result.INVALID_AMPLITUDE),
                (amplitude > model.amplitude[1], Result.AMP_GREAT_MAX),
                (phase_charge > model.charge_pc, Result.PHASE_GREAT_MAX),
                (phase_charge < 1, Result.INVALID_NUMBER),
                (frequency < model.frequency[0], Result.INVALID_FREQUENCY),
                (frequency > model.frequency[1], Result.FREQUENCY_GREAT_MAX),
                (self.state.status is not Status.STOPPED, Result.SEQUENCE_ERROR),
            )
            if wrong := next((code for broken, code in rules if broken), None):
                return Answer(wrong)
            self.state.maxima = Maxima(voltage, amplitude, phase_charge, frequency)
            self.state.voltage = min(self.state.voltage, voltage)
        maxima = self.state.maxima
        return Answer(
            Result.SUCCESS,
            {
                "voltage": maxima.voltage,
                "amplitude": maxima.amplitude,
                "phaseCharge": maxima.charge_pc,
                "frequency": maxima.frequency,
            },
        )

    # --- patterns

    def configure_stimulus_pattern(
        self,
        config_id: int,
        afcf: int,
        pulses: int,
        amp1: int,
        amp2: int,
        width1: int,
        width2: int,
        frequency: int,
        interphase: int,
    ) -> Answer:
        """Set a pattern, 1 to 15; `afcf` 0 anodic or 1 cathodic phase first."""
        if code := self._idle():
            return Answer(code)
        if config_id not in PATTERNS:
            return Answer(Result.INVALID_CONFIG)
        pattern = Pattern(afcf, pulses, amp1, amp2, width1, width2, frequency, interphase)
        if code := check(pattern, self._hardware, self.state.maxima):
            return Answer(code)
        if self._charge.dense(pattern):
            self._audit.write(
                "refused", self._clock.now(), why="charge density", charge_pc=pattern.charge_pc
            )
            return Answer(Result.PHASE_GREAT_MAX)
        self.state.patterns[config_id] = pattern
        self.state.disabled.discard(config_id)
        return OK

    def read_stimulus_pattern(self, config_id: int) -> Answer:
        """Return a pattern as it was set."""
        if code := self._ready():
            return Answer(code)
        if config_id not in PATTERNS:
            return Answer(Result.INVALID_CONFIG)
        if config_id not in self.state.patterns:
            return Answer(Result.EMPTY_CONFIG)
        found = asdict(self.state.patterns[config_id])
        return Answer(Result.SUCCESS, {"afcf": found.pop("cathodic_first"), **found})

    def disable_stimulus_configuration(self, config_id: int) -> Answer:
        """Disable a pattern, until it is set again."""
        if code := self._idle():
            return Answer(code)
        if config_id not in PATTERNS:
            return Answer(Result.INVALID_CONFIG)
        if config_id not in self.state.patterns:
            return Answer(Result.EMPTY_CONFIG)
        if config_id in self.state.disabled:
            return Answer(Result.CONFIG_NOT_ACTIVE)
        self.state.disabled.add(config_id)
        return OK

    def _stimulus(self, electrode: int, config_id: int) -> Stimulus | Result:
        """Return a stimulus, or why there is none."""
        if not 1 <= electrode <= ELECTRODES:
            return Result.INVALID_CHANNEL
        if config_id not in PATTERNS:
            return Result.INVALID_CONFIG
        if config_id not in self.state.patterns:
            return Result.EMPTY_CONFIG
        if config_id in self.state.disabled:
            return Result.CONFIG_NOT_ACTIVE
        return Stimulus(electrode, config_id, self.state.patterns[config_id])

    # --- sequences

    def _writing(self) -> Result:
        """Return why the script cannot be written to now; success where it can."""
        if code := self._ready(stimulates=True):
            return code
        writes = self.state.status is Status.WRITING
        return Result.SUCCESS if writes else Result.SEQUENCE_ERROR

    def beginning_of_sequence(self) -> Answer:
        """Begin a script; the one there was is gone."""
        if code := self._idle():
            return Answer(code)
        self.state.script = Script()
        self.state.status = Status.WRITING
        self._begin_play()
        return OK

    def end_of_sequence(self) -> Answer:
        """End the script."""
        code = self._writing() or self.state.script.end()
        if not code:
            self.state.status = Status.STOPPED
        return Answer(code)

    def beginning_of_group(self) -> Answer:
        """Begin stimuli that start together."""
        return Answer(self._writing() or self.state.script.begin_group())

    def end_of_group(self) -> Answer:
        """End stimuli that start together."""
        return Answer(self._writing() or self.state.script.end_group())

    def auto_stimulus(self, electrode: int, config_id: int) -> Answer:
        """Add a pattern on an electrode to the script."""
        if code := self._writing():
            return Answer(code)
        self._clock.sleep(AUTO_US - CALL_US)
        found = self._stimulus(electrode, config_id)
        if isinstance(found, Result):
            return Answer(found)
        return Answer(self.state.script.stimulate(found, self._enabled))

    def wait(self, milliseconds: int) -> Answer:
        """Add a wait to the script."""
        return Answer(self._writing() or self.state.script.wait(milliseconds))

    def _room(self, count: int) -> bool:
        """Return whether the script takes so many commands more."""
        return self.state.script.written + count <= MOST_COMMANDS
