"""Ways in: how the records of a source are read, whatever the source.

`connectors._reading.base` is the contract. A reader yields pages; the runner
(`connectors._running`) puts each into ``raw.<source>`` and then stores the reader's
position, so that after any crash reading goes on where it was: at least once, and
what is read twice carries the same id and is dropped downstream.
"""
