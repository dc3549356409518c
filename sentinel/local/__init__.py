"""The embedded stack: real Kafka and PostgreSQL (and Elasticsearch) on this machine.

`Stack` runs the parts under one data directory and keeps them running; `find` tells any
other process where they are, `connect` puts that into its settings. Why embedded: a
person with only Python and make gets the same broker and database as production, not a
replacement that behaves otherwise.
"""

from __future__ import annotations

from sentinel.local.home import Endpoints, connect, find
from sentinel.local.process import Service, Supervised
from sentinel.local.stack import Stack

__all__ = ["Endpoints", "Service", "Stack", "Supervised", "connect", "find"]
