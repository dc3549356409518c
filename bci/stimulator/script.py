"""Sequences: at most 128 commands, played one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bci.stimulator.codes import Result
from bci.stimulator.pattern import Pattern

MOST_COMMANDS: Final = 128
MOST_WAIT_MS: Final = 65_535


class Stimulus(NamedTuple):
    """A pattern on an electrode."""

    electrode: int
    config: int
    pattern: Pattern


class Command(NamedTuple):
    """A step: stimuli that begin together, or none for a wait; µs until the next step."""

    stimuli: tuple[Stimulus, ...]
    length_us: int


@dataclass(slots=True)
class Script:
    """Commands as they are written, and the group that is open."""

    commands: list[Command] = field(default_factory=list)
    group: list[Stimulus] | None = None
    written: int = 0

    def begin_group(self) -> Result:
        """Open a group; its stimuli begin together."""
        if self.group is not None:
            return Result.SEQUENCE_ERROR
        if self.written >= MOST_COMMANDS:
            return Result.SEQUENCE_ERROR
        self.group = []
        self.written += 1
        return Result.SUCCESS

    def end_group(self) -> Result:
        """Close the group."""
        if not self.group or self.written >= MOST_COMMANDS:
            return Result.SEQUENCE_ERROR
        self._append(self.group)
        self.group = None
        self.written += 1
        return Result.SUCCESS

    def stimulate(self, stimulus: Stimulus, modules: int) -> Result:
        """Add a stimulus: to the group, or as a step of its own."""
        if modules < 1:
            return Result.MODULE_UNAVAILABLE
        if self.written >= MOST_COMMANDS:
            return Result.SEQUENCE_ERROR
        if self.group is None:
            self._append([stimulus])
        elif stimulus.electrode in {other.electrode for other in self.group}:
            return Result.CHANNEL_USED_IN_GROUP
        elif len(self.group) >= modules:
            return Result.STIMULI_MODULES
        else:
            self.group.append(stimulus)
        self.written += 1
        return Result.SUCCESS

    def wait(self, ms: int) -> Result:
        """Add a wait."""
        if self.group is not None or self.written >= MOST_COMMANDS:
            return Result.SEQUENCE_ERROR
        if not 0 <= ms <= MOST_WAIT_MS:
            return Result.INVALID_NUMBER
        self.commands.append(Command((), 1000 * ms))
        self.written += 1
        return Result.SUCCESS

    def end(self) -> Result:
        """Close the sequence."""
        return Result.SEQUENCE_ERROR if self.group is not None else Result.SUCCESS

    def _append(self, stimuli: Sequence[Stimulus]) -> None:
        length = max(stimulus.pattern.length_us for stimulus in stimuli)
        self.commands.append(Command(tuple(stimuli), length))

    @property
    def length_us(self) -> int:
        """Length of one pass, µs; at least 1, so that an endless one goes on."""
        return max(1, sum(command.length_us for command in self.commands))


def together(stimuli: Sequence[Stimulus], modules: int) -> Result:
    """Return what the device says to stimuli that begin together."""
    electrodes = [stimulus.electrode for stimulus in stimuli]
    if not stimuli:
        return Result.INVALID_NUMBER
    if len(stimuli) > modules:
        return Result.STIMULI_MODULES
    if len(set(electrodes)) < len(electrodes):
        return Result.CHANNEL_USED_IN_GROUP
    return Result.SUCCESS
