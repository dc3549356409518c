"""Faust agents that move batches: take, call a pure function, produce, checkpoint, acknowledge.

One file a stage, in the order of the flow: `normalize`, `detect`, `correlate`,
`persist`; `dead_letter` beside them. `transport` brings Kafka to Faust a batch at a
time, `stage` is the loop they all share, `checkpoint` where a partition's state,
its offset and its ledger are kept together.
"""
