"""What travels between the stages: Avro schemas (``*.avsc``), their codec, and OCSF.

Why batches: a Kafka record of ``events`` holds all events that one poll of one raw
partition sent to one events partition, column by column. Measured (``make bench``),
a record per event costs more in Avro and librdkafka calls than decoding, matching
and scoring together. A batch of one is legal and common at low rates.
"""
