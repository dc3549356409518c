"""The Faust transport ``rdk://``: librdkafka underneath, one Faust message for each batch.

Stock Faust spends about 200 µs of CPU on every message before an agent sees it. Here a
message is a `RecordBatch`, all records of one partition that one poll returned, so that cost
is paid per thousands of records. Faust keeps what it is good at: the service tree, agents,
streams, acknowledgement by event.

Delivery is at least once. An offset is committed when every record before it that was
delivered has been acknowledged, whatever the order of the acknowledgements (`OffsetLedger`);
Faust's own implicit acknowledgement, which also happens when the agent raises, is switched
off. Tables, ``take``, changelogs, the leader and Faust's producer are not supported: use
`sentinel.kafka.Producer`. Apps are made by `streams.app.build`.

Other than in stock Faust, a rebalance does not stop the world: partitions that stay go on, and
those that go or come are handled by themselves, which is what cooperative rebalancing is for.
"""

from streams.transport.batch import Headers, Limits, RecordBatch
from streams.transport.driver import Conductor, Consumer, Hooks, Producer, Transport

__all__ = [
    "Conductor",
    "Consumer",
    "Headers",
    "Hooks",
    "Limits",
    "Producer",
    "RecordBatch",
    "Transport",
]
