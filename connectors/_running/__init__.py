"""Runs the configured inputs: reads pages, puts them into ``raw.<source>``, keeps positions.

One thread an input (`work`), supervised by `runner`. What is read is configured in one
YAML file (`config`); where reading goes on is kept in Kafka (`positions`); what arrived of
each object of a source that can list its objects, too (`arrivals`).

Delivery is at least once: a page is in ``raw.<source>``, acknowledged by all replicas, before
its position is stored, and what a crash in between makes be read twice carries the same
``record-id``, so that its events have the same ids and are dropped in detect. Two runners
with the same input never both advance: storing positions is fenced (Kafka transactions), the
one that started first stops. What both read meanwhile is twice in ``raw.*``, with the same ids.
"""
