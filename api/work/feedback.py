"""Dispositions on their way to the topic ``feedback``: an outbox, at least once.

A row is written in the transaction that changes the alert, so there is no feedback without
its change; after the commit it is sent, and removed once the broker has it. Where the broker
is away the rows wait: whoever sends next, in whatever process, takes them along.
"""

from __future__ import annotations

from api.deps import Database, Services
from api.errors import Problem
from sentinel import log, postgres
from sentinel.errors import KafkaError
from sentinel.topics import FEEDBACK

AT_ONCE = 500
_log = log.get("api.feedback")


async def send(services: Services) -> int:
    """Send what waits and return how much that was; log why where it cannot be sent now."""
    database = Database(services, postgres.ALL_TENANTS)
    sent = 0
    try:
        while True:
            async with database.writing() as connection:
                rows = await connection.fetch(database.sql("feedback_waiting"), AT_ONCE)
                if not rows:
                    return sent
                for row in rows:
                    services.producer.send(
                        FEEDBACK,
                        row["body"].encode(),
                        key=row["key"].encode(),
                        headers={"tenant": row["tenant"].encode()},
                    )
                await services.producer.flush()
                await connection.execute(database.sql("feedback_sent"), [row["id"] for row in rows])
            sent += len(rows)
            if len(rows) < AT_ONCE:
                return sent
    except (KafkaError, Problem) as error:
        _log.warning("feedback waits", action="feedback_later", error=str(error))
        if not isinstance(error, Problem):
            await services.drop_producer()
        return sent
