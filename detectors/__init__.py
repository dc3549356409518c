"""Detection as pure functions over a batch: no Kafka, no database, no clock.

`sigma` loads rules, `match` and its kin find the rules an event fulfils, `models/`
holds one online model a file, `score` turns what they say into a severity and
`explain` into words. The same functions run in tests, backtest and production.
"""
