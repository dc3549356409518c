"""Faust agents that move batches: take, call a pure function, produce, checkpoint, acknowledge.

One file a stage, in the order of the flow: `normalize`, `detect`, `correlate`,
`persist`; `dead_letter` beside them. `worker` runs them, `app` makes the Faust app of
each, `transport` brings Kafka to Faust a batch at a time, `runtime` is what all stages
stand on (loop, checkpoints, ledger), and `sinks` are where records leave Kafka.
"""
