"""What is refused beyond what the device refuses: charge density, and charge in a second.

The device knows charge balance and charge a phase (`bci.stimulator.pattern`). Tissue and
electrode set limits as well: the charge a phase on the area of the contact, and how much
charge flows in a second. Defaults are for sputtered iridium oxide on a Utah array: reversible
charge injection of 1 to 5 mC/cm² (Cogan 2008, Annu Rev Biomed Eng 10:275), and room for the
300 Hz trains of 100 µA and 200 µs of human microstimulation, 6 µC a second and electrode
(Flesher 2016, Sci Transl Med 8:361ra141). They are limits of a simulator, no medical advice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bci.stimulator.pattern import Pattern
from bci.stimulator.script import Script, Stimulus

SECOND: Final = 1_000_000
#: cm² of a µm².
CM2: Final = 1e-8


@dataclass(frozen=True, slots=True)
class SafetySettings:
    """Limits.

    Attributes
    ----------
    area_um2
        Geometric area of an electrode, µm².
    density_uc_cm2
        Largest charge a phase on that area, µC/cm².
    electrode_nc_s, total_nc_s
        Largest charge of one electrode, and of all together, in any second, nC: that of the
        larger phase of each pulse.
    """

    area_um2: float = 4000.0
    density_uc_cm2: float = 3000.0
    electrode_nc_s: float = 10_000.0
    total_nc_s: float = 100_000.0

    @property
    def phase_pc(self) -> float:
        """Largest charge a phase, pC."""
        return self.density_uc_cm2 * self.area_um2 * CM2 * 1e6


class Charge:
    """Charge that flowed in the last second.

    A train counts pulse by pulse, as its pulses flow.
    """

    def __init__(self, settings: SafetySettings) -> None:
        self._settings = settings
        self._flown: deque[tuple[int, int, int]] = deque()
        self._total = 0
        self._electrode: dict[int, int] = {}

    def dense(self, pattern: Pattern) -> bool:
        """Return whether a pattern has too much charge a phase for the electrode's area."""
        return pattern.charge_pc > self._settings.phase_pc

    def add(self, at: int, stimuli: Iterable[Stimulus]) -> bool:
        """Count stimuli that begin at `at`, µs; return False, counting none, beyond a limit."""
        before = (deque(self._flown), self._total, dict(self._electrode))
        if self.flow(at, stimuli):
            return True
        self._flown, self._total, self._electrode = before
        return False

    def flow(self, at: int, stimuli: Iterable[Stimulus]) -> bool:
        """Count stimuli; return False as soon as a limit is passed."""
        pulses = sorted(
            (at + SECOND * number // stimulus.pattern.frequency, stimulus.electrode, stimulus)
            for stimulus in stimuli
            for number in range(stimulus.pattern.pulses)
        )
        return all(
            self._pulse(when, electrode, stimulus.pattern.charge_pc)
            for when, electrode, stimulus in pulses
        )

    def _pulse(self, when: int, electrode: int, charge: int) -> bool:
        """Count one pulse; False where it is too much."""
        while self._flown and self._flown[0][0] <= when - SECOND:
            _, other, old = self._flown.popleft()
            self._total -= old
            self._electrode[other] -= old
        self._flown.append((when, electrode, charge))
        self._total += charge
        self._electrode[electrode] = self._electrode.get(electrode, 0) + charge
        settings = self._settings
        fits = self._electrode[electrode] <= 1000 * settings.electrode_nc_s
        return fits and self._total <= 1000 * settings.total_nc_s


def foresee(script: Script, times: int, settings: SafetySettings) -> bool:
    """Return whether a script, begun with no charge before it, stays within a second's limits.

    Looked at are the passes of its first two seconds, which all later ones repeat.
    """
    charge, at, passes = Charge(settings), 0, 0
    while at <= 2 * SECOND and (times == 0 or passes < times):
        for command in script.commands:
            if command.stimuli and not charge.flow(at, command.stimuli):
                return False
            at += command.length_us
        passes += 1
        if not any(command.stimuli for command in script.commands):
            return True
    return True
