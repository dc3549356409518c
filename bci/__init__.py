"""Neural signals as pure functions of samples: detection, LFP, synthesis, scoring, formats.

Numpy and numba only; the sampling rate is always explicit (`fs`, Hz), samples are counted by
the device, voltages are µV, arrays are ``[time, channel]``. Nothing here knows Kafka, a
database or the wall clock, so what a live stream gives is what a replay gives, bit for bit.

- `bci.settings`, `bci.probe`: what is configured, and where electrodes are
- `bci.engine`: spikes, artefacts and channel health out of raw samples, in one pass
- `bci.lfp`: field potentials and band power
- `bci.unusual`: bursts, synchrony, shifts of rates, bad channels, rhythms like seizures
- `bci.bank`, `bci.block`, `bci.events`: all of it for one bank of a live stream, and its wire
- `bci.decoder`: movement out of rates, an example of closing the loop
- `bci.synth`, `bci.score`: recordings with known spikes, and how well they were found
"""
