"""Spikes out of raw samples in one pass, with all state kept between blocks.

Per bank of 64 channels: scale to µV, reference, band-pass (`filtering`), then, sample by
sample in device time (`scanning`): noise estimate, artefacts, troughs, matched filter, the
strongest of neighbours, refractory period, snippet.

**Exactness.** Every sample goes through the same operations in the same order whatever
blocks it came in; estimates change at fixed sample indices. So the events are identical, bit
for bit, for any split into blocks, live or replayed, and after `Engine.restore`. Banks know
nothing of each other, so neither does the number of workers matter.
"""

from bci.engine.engine import Engine
from bci.engine.found import Found, Spikes

__all__ = ["Engine", "Found", "Spikes"]
