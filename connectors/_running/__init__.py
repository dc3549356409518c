"""Runs the configured inputs: reads pages, puts them into ``raw.<source>``, keeps positions.

One thread an input (`work`), supervised by `runner`. What is read is configured in one
YAML file (`config`); where reading goes on is kept in Kafka (`positions`), and so is what
arrived of the objects of sources that can list them (`delivery`, compared by `reconcile`).
How much arrives and of what shape is watched for every source (`watch`, `rates`, `shape`); gaps,
silence and changes go to ``raw.health`` (`health`), from which rules raise alerts.

Delivery is at least once: a page is in ``raw.<source>``, acknowledged by all replicas, before
its position is stored, and what a crash in between makes be read twice carries the same
``record-id``, so that its events have the same ids and are dropped in detect. Two runners
with the same input never both advance: storing positions is fenced (Kafka transactions), the
one that started first stops. What both read meanwhile is twice in ``raw.*``, with the same ids.
"""
