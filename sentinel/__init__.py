"""What every other package of Sentinel shares: settings, errors, topics, Kafka, logs, metrics.

Nothing in here but `sentinel.cli` (the composition root, which wires everything
together for a person at a terminal) imports another package of ours.
"""

__version__ = "0.1.0"
