"""A CereStim 96 that is simulated: its calls, limits, states, result codes and delays.

Sources: Blackrock's API 5.3 as wrapped by br_stimpy (``_bstimulator.pyi``, MIT) and
CereStimWrapper (result codes), and Blackrock's knowledge base (lowest frequency, programming
times). Codes of the older Stim100 differ; these are the 96's. Nothing raises across the
boundary: a wrong call gives the code that the device gives. Time is what the clock says that is
passed in, so that tests need not wait.

- `bci.stimulator.calls`: a call by name with JSON arguments, for Kafka and the API
- `bci.stimulator.cerestim`: the device; `bci.stimulator.device`: what it is made of
- `bci.stimulator.pattern`, `script`: stimuli and sequences of them
- `bci.stimulator.safety`: what is refused beyond what the device refuses
- `bci.stimulator.audit`: every stimulus, call and refusal, append-only
- `bci.stimulator.closed_loop`: neural events to patterns
"""

from bci.stimulator.calls import call
from bci.stimulator.cerestim import CereStim96
from bci.stimulator.clock import Clock, ManualClock, SystemClock
from bci.stimulator.codes import Answer, Result, Status

__all__ = [
    "Answer",
    "CereStim96",
    "Clock",
    "ManualClock",
    "Result",
    "Status",
    "SystemClock",
    "call",
]
