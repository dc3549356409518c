"""Rhythms like those of a seizure, in recordings that are sampled too slowly for spikes.

Gotman (1982, Electroencephalogr. clin. Neurophysiol. 54, 530-540): rhythmic activity of 3 to
20 Hz at three times the amplitude of the background, for four seconds at least. Here the
amplitude is that of the bands theta, alpha and beta together, second by second of device time,
so what comes out does not depend on blocks; and most channels must show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bci.unusual.activity import FEWEST

#: Bands of which the amplitude is watched: slower ones are sweat and movement, too, faster ones
#: muscles and mains.
WATCHED: Final = ("theta", "alpha", "beta")
#: Amplitude against the usual one, share of the good channels that reach it, and for how many
#: seconds.
TIMES, SHARE, LASTING = 3.0, 0.5, 4
#: Seconds after which what is usual is known, and how fast it is forgotten.
WARM_S, RATE = 16, 1 / 60
#: Seconds of quiet that end a seizure, and after which something that lasts is usual.
QUIET_S, USUAL_S = 10, 300


class Rhythmic(NamedTuple):
    """Most channels oscillate: since when, until now, so many seconds and channels."""

    first: int
    last: int
    seconds: int
    channels: int


class Memory(msgspec.Struct):
    """What is remembered besides arrays.

    Attributes
    ----------
    seconds
        From which what is usual was learnt.
    first, strong, quiet
        Sample at which strong seconds began; how many there are in a row, and others.
    told
        Whether it was told of the seizure that lasts.
    """

    seconds: int = 0
    first: int = 0
    strong: int = 0
    quiet: int = 0
    told: bool = False


class Rhythm:
    """Watches the amplitude of one bank's channels.

    Parameters
    ----------
    channels
        Number of channels; with fewer than `FEWEST` good ones it says nothing.
    """

    def __init__(self, channels: int) -> None:
        self._memory = Memory()
        self._usual = np.zeros(channels)

    def second(
        self,
        first: int,
        last: int,
        good: NDArray[np.bool_],
        powers: Mapping[str, NDArray[np.float32]],
    ) -> Rhythmic | None:
        """Take a whole second; return what begins with it to look like a seizure.

        Parameters
        ----------
        first, last
            Device samples.
        good
            bool[channel].
        powers
            float32[channel], µV², of each band; nothing is learnt where one of `WATCHED` is
            not there.
        """
        if any(name not in powers for name in WATCHED):
            return None
        memory = self._memory
        amplitude = np.sqrt(sum(powers[name].astype(np.float64) for name in WATCHED))
        above = good & (self._usual > 0) & (amplitude >= TIMES * self._usual)
        count, needed = int(above.sum()), SHARE * int(good.sum())
        strong = memory.seconds >= WARM_S and good.sum() >= FEWEST and count >= needed
        if not strong or memory.strong >= USUAL_S:
            memory.seconds += 1
            self._usual += max(RATE, 1 / memory.seconds) * (amplitude - self._usual)
        if not strong:
            memory.strong, memory.quiet = 0, memory.quiet + 1
            memory.told &= memory.quiet < QUIET_S
            return None
        if memory.strong == 0:
            memory.first = first
        memory.strong, memory.quiet = memory.strong + 1, 0
        if memory.told or memory.strong < LASTING:
            return None
        memory.told = True
        return Rhythmic(memory.first, last, memory.strong, count)

    def gap(self) -> None:
        """Forget what lasted: samples are missing."""
        self._memory.strong = 0

    def snapshot(self) -> dict[str, Any]:
        """Return the state, for `restore`."""
        return {"memory": msgspec.to_builtins(self._memory), "usual": self._usual}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `snapshot` returned."""
        self._memory = msgspec.convert(state["memory"], Memory)
        self._usual = np.array(state["usual"])
