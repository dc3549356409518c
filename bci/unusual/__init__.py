"""What is unusual in a bank, second by second of device time: out of spikes, or of slow waves.

- `bci.unusual.activity`: bursts, synchrony and shifts of rates out of spikes; bad channels
- `bci.unusual.rhythm`: seizures in recordings that are sampled too slowly for spikes
"""
