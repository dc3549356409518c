"""What all stages stand on: the loop, checkpoints, the ledger, dead letters, outlets, telemetry.

`stage` is the loop and the contract of a stage's task; `checkpoint` keeps a partition's
state, ledger and offset together; `outlets` are the two ways out, Kafka and the sinks;
`letters` and `letterbox` are what becomes of a record that cannot be handled; `progress`
says how far each stage is; `migrate` brings the database to its schema.
"""
