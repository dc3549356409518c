"""The query layer: reads the stores, writes commands to topics, holds no state.

To add an endpoint, add a module with a ``router`` to `api.routes` and its queries to
``queries.sql``.
"""
