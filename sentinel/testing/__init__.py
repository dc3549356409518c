"""Doubles that behave like the real thing, for tests of Sentinel and of what is built on it.

In memory: a producer and a clock. Over HTTP (`sentinel.testing.server`): a small server that
answers as a public API does, and that throttles, expires tokens, sends pages that do not parse
and cuts connections when a test says so; `azure`, `google` and `m365` are such APIs, written
from their public references, for the real client libraries to talk to.
"""

from sentinel.testing.clock import Clock
from sentinel.testing.producer import MemoryProducer, Sent

__all__ = ["Clock", "MemoryProducer", "Sent"]
