"""What `make bench` measures, one benchmark a file; ``sentinel bench [NAME…]`` runs them.

A benchmark is a module with ``run(context) -> Iterator[Row]`` whose docstring's first line
says what it measures. Time is CPU time, user and system of all threads of the process
under test, because wall time says little on a shared machine. Beside it stands the CPU
time of ``orjson.loads`` on the same events, taken in the same process between the batches
(`bench.measure.Meter`): the ratio compares across machines and through their noise.

`measure`  the measuring itself
`_with`    events, brokers, platforms and processes to measure on
"""

#: Benchmarks in the order in which they run and are shown.
NAMES = (
    "passthrough", "stages", "models", "normalise", "pipeline", "quix", "faust", "rules",
    "correlation", "enrich", "findings", "s3", "memory", "latency", "start", "api", "bci",
    "bci_wide", "bci_artefacts", "closed_loop", "bci_quality", "neural_live",
)  # fmt: skip
