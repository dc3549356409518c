"""The simulated CereStim 96: what stimulates, and the time it takes."""

from __future__ import annotations

from typing import Final

from bci.stimulator.codes import OK, Answer, Result, Status, Trigger
from bci.stimulator.device.linked import CALL_US, GROUP_US, volts
from bci.stimulator.device.programmed import Programmed
from bci.stimulator.safety import SECOND, foresee
from bci.stimulator.script import Script, Stimulus, together

#: Passes of a script, 0 for no end.
MOST_TIMES: Final = 65_535
#: Stimuli in a call of groupStimulus.
MOST_GROUP: Final = 16
#: Commands that are done in one go; what a script that nobody looked at came to in hours is
#: done bit by bit.
MOST_AT_ONCE: Final = 100_000


class CereStim96(Programmed):
    """A stimulator; see `Linked` for what it is made with.

    Methods have the device's names in snake case and return an `Answer`; none raises for any
    value of the types it takes (`bci.stimulator.calls` checks types).

    Examples
    --------
    >>> device = CereStim96()
    >>> [device.set_device(0).result, device.connect().result]
    [<Result.SUCCESS: 0>, <Result.SUCCESS: 0>]
    >>> device.configure_stimulus_pattern(1, 1, 5, 50, 50, 200, 200, 100, 53).result.name
    'SUCCESS'
    >>> device.manual_stimulus(7, 1).result.name, device.manual_stimulus(97, 1).result.name
    ('SUCCESS', 'INVALID_CHANNEL')
    >>> device.play(1).result.name
    'SEQUENCE_ERROR'
    """

    #: Level of the trigger input.
    _level = 0

    def _begin_play(self) -> None:
        self._pass = self._step = 0
        #: Time at which the next command begins, and passes in all, 0 for no end.
        self._due, self._times = 0, 1

    # --- playing

    def play(self, times: int) -> Answer:
        """Play the script so many times, 0 for ever; go on with one that is paused."""
        if code := self._ready(stimulates=True):
            return Answer(code)
        state = self.state
        if state.status is Status.PAUSED:
            self._due = max(self._due, self._clock.now())
            state.status = Status.PLAYING
            return OK
        if state.status is not Status.STOPPED or not state.script.commands:
            return Answer(Result.SEQUENCE_ERROR)
        if not 0 <= times <= MOST_TIMES:
            return Answer(Result.INVALID_NUMBER)
        if code := self._foreseen(times):
            return Answer(code)
        self._start(times)
        return OK

    def _foreseen(self, times: int) -> Result:
        """Refuse a script that would put too much charge into a second."""
        if foresee(self.state.script, times, self._safety):
            return Result.SUCCESS
        self._audit.write("refused", self._clock.now(), why="charge a second")
        return Result.NOK

    def _start(self, times: int) -> None:
        self._pass = self._step = 0
        self._times, self._due = times, self._clock.now()
        self.state.status = Status.PLAYING
        self._settle()

    def pause(self) -> Answer:
        """Pause a script after the command that is under way."""
        if code := self._ready():
            return Answer(code)
        if self.state.status is not Status.PLAYING:
            return Answer(Result.SEQUENCE_ERROR)
        self.state.status = Status.PAUSED
        return OK

    def stop(self) -> Answer:
        """Stop a script that plays or is paused; it begins anew when it is played again."""
        if code := self._ready():
            return Answer(code)
        if self.state.status not in (Status.PLAYING, Status.PAUSED):
            return Answer(Result.SEQUENCE_ERROR)
        self.state.status = Status.STOPPED
        self._pass = self._step = 0
        return OK

    def read_sequence_status(self) -> Answer:
        """Return the state, at any time."""
        self._settle()
        status = self.state.status
        waiting = self.state.edge is not Trigger.DISABLED and status is Status.STOPPED
        return self._told(int(Status.TRIGGER if waiting else status))

    # --- stimuli without a script of one's own

    def manual_stimulus(self, electrode: int, config_id: int) -> Answer:
        """Send a pattern to an electrode now."""
        if code := self._ready(stimulates=True):
            return Answer(code)
        if self.state.status is not Status.STOPPED:
            return Answer(Result.SEQUENCE_ERROR)
        found = self._stimulus(electrode, config_id)
        if isinstance(found, Result):
            return Answer(found)
        if not self._enabled:
            return Answer(Result.MODULE_UNAVAILABLE)
        return Answer(self._deliver(self._clock.now(), (found,), "manual"))

    def group_stimulus(
        self,
        begin_seq: int,
        play: int,
        times: int,
        number: int,
        electrode: list[int],
        pattern: list[int],
    ) -> Answer:
        """Add a group in one call; begin a script before it, play it after it."""
        code = self._idle() if begin_seq else self._writing()
        self._clock.sleep(GROUP_US - CALL_US)
        if code := code or self._group_fits(number, electrode, pattern):
            return Answer(code)
        stimuli: list[Stimulus] = []
        for place in range(number):
            found = self._stimulus(electrode[place], pattern[place])
            if isinstance(found, Result):
                return Answer(found)
            stimuli.append(found)
        if code := together(stimuli, self._enabled):
            return Answer(code)
        state, script = self.state, Script() if begin_seq else self.state.script
        if script.group is not None or (not begin_seq and not self._room(number + 2)):
            return Answer(Result.SEQUENCE_ERROR)
        if play and not 0 <= times <= MOST_TIMES:
            return Answer(Result.INVALID_NUMBER)
        script.begin_group()
        for stimulus in stimuli:
            script.stimulate(stimulus, self._enabled)
        script.end_group()
        state.script, state.status = script, Status.WRITING
        if not play:
            return OK
        state.status = Status.STOPPED
        if code := self._foreseen(times):
            return Answer(code)
        self._start(times)
        return OK

    @staticmethod
    def _group_fits(number: int, electrode: list[int], pattern: list[int]) -> Result:
        if not 1 <= number <= MOST_GROUP:
            return Result.INVALID_NUMBER
        if len(electrode) < number or len(pattern) < number:
            return Result.INVALID_PARAMS
        return Result.SUCCESS

    # --- the trigger input

    def trigger_stimulus(self, edge: int) -> Answer:
        """Wait for an edge: 1 rising, 2 falling, 3 any. Only `stop_trigger_stimulus` ends it."""
        if code := self._ready(stimulates=True):
            return Answer(code)
        if edge not in (Trigger.RISING, Trigger.FALLING, Trigger.CHANGE):
            return Answer(Result.INVALID_TRIGGER)
        if self.state.status is not Status.STOPPED or not self.state.script.commands:
            return Answer(Result.SEQUENCE_ERROR)
        if code := self._foreseen(1):
            return Answer(code)
        self.state.edge = Trigger(edge)
        return OK

    def stop_trigger_stimulus(self) -> Answer:
        """Wait for edges no more; a script that one started is stopped."""
        self._settle()
        if not self._connected:
            return self._told(None)
        if self.state.edge is Trigger.DISABLED:
            return Answer(Result.INVALID_TRIGGER)
        self.state.edge, self.state.status = Trigger.DISABLED, Status.STOPPED
        return OK

    def ttl(self, level: int) -> None:
        """Set the level of the trigger input, 0 or 1: not a call, but a wire."""
        self._settle()
        old, self._level = self._level, level
        edge = Trigger.RISING if level > old else Trigger.FALLING
        wanted = self.state.edge
        idle = self.state.status is Status.STOPPED
        if level != old and idle and not self.state.locked and wanted in (edge, Trigger.CHANGE):
            self._start(1)

    # --- what happens

    def _settle(self) -> None:
        """Do the commands that are due by now."""
        now, state = self._clock.now(), self.state
        for _ in range(MOST_AT_ONCE):
            if state.status is not Status.PLAYING or self._due > now:
                return
            commands = state.script.commands
            if self._step == len(commands):
                self._pass, self._step = self._pass + 1, 0
                if state.script.length_us == 1:
                    self._due += 1
            if self._times and self._pass >= self._times:
                state.status = Status.STOPPED
                return
            command = commands[self._step]
            if command.stimuli and self._deliver(self._due, command.stimuli, "script"):
                return
            self._due += command.length_us
            self._step += 1

    def _deliver(self, at: int, stimuli: tuple[Stimulus, ...], origin: str) -> Result:
        """Stimulate, unless charge in a second is too much: then stop, and lock the device."""
        if not self._charge.add(at, stimuli):
            self.state.locked, self.state.status = True, Status.STOPPED
            self.state.edge = Trigger.DISABLED
            self._audit.write("locked", at, why="charge a second", limit_us=SECOND)
            return Result.DEVICE_LOCKED
        for stimulus in stimuli:
            self._note(at, stimulus, origin)
        return Result.SUCCESS

    def _note(self, at: int, stimulus: Stimulus, origin: str) -> None:
        """Note a stimulus; beyond what voltage and impedance allow, less current flows."""
        pattern = stimulus.pattern
        most = 1e6 * volts(self.state.voltage) / self._impedance(stimulus.electrode)
        self._audit.write(
            "stimulus",
            at,
            origin=origin,
            electrode=stimulus.electrode,
            channel=self.state.channels.index(stimulus.electrode) + 1,
            config=stimulus.config,
            cathodic_first=pattern.cathodic_first,
            pulses=pattern.pulses,
            amp1=pattern.amp1,
            amp2=pattern.amp2,
            width1=pattern.width1,
            width2=pattern.width2,
            frequency=pattern.frequency,
            interphase=pattern.interphase,
            charge_pc=pattern.charge_pc,
            reached=max(pattern.amp1, pattern.amp2) <= most,
        )
