"""Stimulation patterns: what is allowed, in the device's own codes.

µA times µs is pC, the unit in which the device states charge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bci.stimulator.codes import Result

ELECTRODES: Final = 96
#: Patterns 1 to 15; 0 is the device's own, for tests of electrodes.
PATTERNS: Final = range(1, 16)
#: Codes of the compliance voltage, 0.5 V + 0.6 V a code: 4.7 to 9.5 V.
VOLTAGES: Final = range(7, 16)
MOST_US: Final = 65_535
#: The longest pause between two pulses that the device can count, µs. Hence the lowest
#: frequency is some 15 Hz for short pulses, not 4 Hz ("Frequency out of range").
MOST_INTERPULSE: Final = 65_535


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a model can do (``readHardwareValues``).

    Attributes
    ----------
    amplitude
        Lowest and highest, µA.
    charge_pc
        Largest charge a phase, pC.
    frequency
        Lowest and highest, Hz.
    test_ua
        Amplitude with which electrodes are tested, µA.
    """

    amplitude: tuple[int, int] = (1, 215)
    charge_pc: int = 215 * MOST_US
    frequency: tuple[int, int] = (4, 5000)
    width_us: int = MOST_US
    interphase_us: tuple[int, int] = (53, MOST_US)
    pulses: tuple[int, int] = (1, 255)
    test_ua: int = 45


MICRO: Final = Hardware()
MACRO: Final = Hardware(amplitude=(100, 10_000), charge_pc=10_000 * MOST_US, test_ua=9_000)


@dataclass(frozen=True, slots=True)
class Maxima:
    """Limits that the researcher has set (``stimulusMaxValues``)."""

    voltage: int = VOLTAGES[-1]
    amplitude: int = 215
    charge_pc: int = 215 * MOST_US
    frequency: int = 5000


@dataclass(frozen=True, slots=True)
class Pattern:
    """A train of pulses of two phases.

    Attributes
    ----------
    cathodic_first
        1, or 0 for the anodic phase first.
    pulses
        How many.
    amp1, amp2
        µA of each phase.
    width1, width2
        µs of each phase.
    frequency
        Pulses a second.
    interphase
        µs between the phases.
    """

    cathodic_first: int
    pulses: int
    amp1: int
    amp2: int
    width1: int
    width2: int
    frequency: int
    interphase: int

    @property
    def charge_pc(self) -> int:
        """Charge of the larger phase, pC."""
        return max(self.amp1 * self.width1, self.amp2 * self.width2)

    @property
    def pulse_us(self) -> int:
        """Length of one pulse, µs."""
        return self.width1 + self.interphase + self.width2

    @property
    def length_us(self) -> int:
        """Length of the train, µs, up to where the next one could begin."""
        return self.pulses * 1_000_000 // self.frequency


def check(pattern: Pattern, hardware: Hardware, maxima: Maxima) -> Result:
    """Return what the device says to a pattern; charge must be balanced exactly.

    Examples
    --------
    >>> check(Pattern(1, 10, 100, 100, 200, 200, 300, 53), MICRO, Maxima()).name
    'SUCCESS'
    >>> check(Pattern(1, 10, 100, 50, 200, 200, 300, 53), MICRO, Maxima()).name
    'PHASE_NOT_BALANCED'
    >>> check(Pattern(1, 10, 100, 100, 200, 200, 10, 53), MICRO, Maxima()).name
    'INVALID_FREQUENCY'
    """
    wrong = _ranges(pattern, hardware)
    if wrong:
        return wrong
    pause = 1_000_000 // pattern.frequency - pattern.pulse_us
    rules = (
        (pause > MOST_INTERPULSE, Result.INVALID_FREQUENCY),
        (pause <= 0, Result.INVALID_INTERPULSE),
        (max(pattern.amp1, pattern.amp2) > maxima.amplitude, Result.AMP_GREAT_MAX),
        (pattern.frequency > maxima.frequency, Result.FREQUENCY_GREAT_MAX),
        (
            pattern.amp1 * pattern.width1 != pattern.amp2 * pattern.width2,
            Result.PHASE_NOT_BALANCED,
        ),
        (
            pattern.charge_pc > min(maxima.charge_pc, hardware.charge_pc),
            Result.PHASE_GREAT_MAX,
        ),
    )
    return next((code for broken, code in rules if broken), Result.SUCCESS)


def _ranges(pattern: Pattern, hardware: Hardware) -> Result:
    """Return the first value that the model cannot do; success where there is none."""
    low, high = hardware.amplitude
    least, most = hardware.frequency
    rules = (
        (pattern.cathodic_first in (0, 1), Result.INVALID_AFCF),
        (_in(pattern.pulses, hardware.pulses), Result.INVALID_PULSES),
        (low <= pattern.amp1 <= high and low <= pattern.amp2 <= high, Result.INVALID_AMPLITUDE),
        (pattern.width1 > 0 and pattern.width2 > 0, Result.INVALID_WIDTH),
        (max(pattern.width1, pattern.width2) <= hardware.width_us, Result.WIDTH_GREAT_MAX),
        (pattern.frequency != 0, Result.FREQ_PERIOD_ZERO),
        (least <= pattern.frequency <= most, Result.INVALID_FREQUENCY),
        (_in(pattern.interphase, hardware.interphase_us), Result.INVALID_INTERPHASE),
    )
    return next((code for kept, code in rules if not kept), Result.SUCCESS)


def _in(value: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= value <= bounds[1]
