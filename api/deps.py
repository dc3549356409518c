"""What routes share: parameters, who asks, the database in that tenant's name, the broker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import asyncpg
from fastapi import Depends, Query
from pydantic import AfterValidator, AwareDatetime, StringConstraints
from starlette.requests import HTTPConnection

from api.errors import unavailable
from api.lending import QUERY_S, Connections
from api.permissions import Principal, principal
from api.search import Search
from api.search.postgres import PostgresSearch
from connectors._mapper import Mapper
from sentinel import postgres
from sentinel.errors import KafkaError, SentinelError, StackError
from sentinel.kafka import Producer, TopicState, describe_topics
from sentinel.settings import Settings

T = TypeVar("T")

SQL = postgres.queries(Path(__file__).with_name("queries.sql"))
#: Seconds until an unanswered broker counts as away.
BROKER_S = 10.0

Limit = Annotated[int, Query(ge=1, le=1000, description="Most items to return.")]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next` of the page before; opaque.")
]
Text = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")] | None
Word = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,32}$")] | None


def _within_reach(time: datetime) -> datetime:
    if not EARLIEST <= time <= LATEST:
        raise ValueError("a time between 1970 and 9998")
    return time.astimezone(UTC)


EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9998, 12, 31, tzinfo=UTC)
Time = Annotated[AwareDatetime, AfterValidator(_within_reach)] | None
PrincipalDep = Annotated[Principal, Depends(principal)]


def _searching(url: str) -> Search:
    """Return the store that lists; the client of Elasticsearch is 50 MB that others need not."""
    if not url:
        return PostgresSearch()
    from api.search.elasticsearch import ElasticsearchSearch

    return ElasticsearchSearch(url)


class Services:
    """What one process of the API holds: connections, nothing else.

    PostgreSQL and Kafka are connected to at first use, so that the API starts without
    them and says 503 until they are there. So is Elasticsearch, where it is set.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.search: Search = _searching(settings.elasticsearch)
        self.mapper = Mapper(settings, "api")
        self.connections = Connections(settings.postgres)
        self._producer: Producer | None = None

    @property
    def producer(self) -> Producer:
        """Return the producer; what it cannot deliver within `BROKER_S` fails."""
        if self._producer is None:
            self._producer = Producer(self.settings, message_timeout_s=BROKER_S)
        return self._producer

    async def drop_producer(self) -> None:
        """Close a producer that had a fatal error; the next request makes a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.to_thread(producer.close)

    async def close(self) -> None:
        """Let go of everything."""
        await self.drop_producer()
        await self.search.close()
        await self.connections.close()


READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
#: One statement sees one state anyhow, and the next, of another request, what came meanwhile.
READING_ONCE = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
BY_ID = "SET LOCAL plan_cache_mode = force_generic_plan; "
#: Sessions are read-only by default.
WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"


def _in_name_of(tenant: str) -> str:
    """Return the statement after which this transaction sees the rows of `tenant`."""
    return f"SET LOCAL sentinel.tenant = '{tenant.replace(chr(39), 2 * chr(39))}'"


class Actor(NamedTuple):
    """Who changes something, for the audit log: subject, address, id of the request."""

    subject: str = ""
    address: str = ""
    request: str = ""


class Database:
    """PostgreSQL as one tenant sees it, for the time of one request."""

    def __init__(self, services: Services, tenant: str, actor: Actor | None = None) -> None:
        self._services = services
        self._actor = actor or Actor()
        self.tenant = tenant
        #: The one tenant to look for, None for all: what lets an index help row security.
        self.only = None if tenant == postgres.ALL_TENANTS else tenant

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        """Yield a connection in a transaction that sees one state of this tenant's rows.

        For one statement alone there is `fetch`, which costs less.

        Raises
        ------
        Problem
            503: PostgreSQL cannot be reached, or the query takes too long.
        """
        async with self._transaction(READING) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Any]:
        """Yield a connection in a transaction that may write what `sentinel_api` is granted.

        Committed when the block ends, rolled back when it raises. Row-level security holds
        for what is written too. Tell the audit log inside: `api.identity.audit.audit`.

        Raises
        ------
        Problem
            503: PostgreSQL cannot be reached or takes too long; nothing is changed, unless
            the connection broke in the middle of the commit.
        """
        async with self._transaction(WRITING) as connection:
            await connection.execute(SQL["actor"], *self._actor)
            yield connection

    @asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncIterator[Any]:
        with _reaching():
            async with self._services.connections.one() as connection:
                # Begun and named in one message: a round trip is what a small query costs most.
                await connection.execute(f"{begin}; {_in_name_of(self.tenant)}")
                try:
                    yield connection
                except BaseException:
                    await connection.execute("ROLLBACK")
                    raise
                await connection.execute("COMMIT")

    @staticmethod
    def sql(query: str, **fill: str) -> str:
        """Return a query of ``queries.sql``, its ``{…}`` filled with other parts or `fill`."""
        return SQL[query].format_map(SQL | fill)

    async def fetch(
        self, query: str, *args: Any, fill: dict[str, str] | None = None, by_id: bool = False
    ) -> list[Any]:
        """Return the rows of one query; `fill` must come from the code, never from a request.

        Queries are planned anew each time, since it depends on the filters which index is
        right; `by_id` says that there is no question, which saves the planning.

        Raises
        ------
        Problem
            503: PostgreSQL cannot be reached, or the query takes too long.
        """
        begin = f"{READING_ONCE}; {BY_ID if by_id else ''}{_in_name_of(self.tenant)}"
        sql = self.sql(query, **fill or {})
        with _reaching():
            return await self._services.connections.fetch(begin, sql, *args)


@contextmanager
def _reaching() -> Iterator[None]:
    """Raise `Problem` (503) where PostgreSQL is away, busy, or takes too long."""
    try:
        yield
    except TimeoutError as error:
        raise unavailable(
            f"an answer of PostgreSQL within {QUERY_S:.0f} s (narrow the time or filters)", error
        ) from error
    except StackError as error:
        raise unavailable("PostgreSQL", error) from error
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # a connection that is lost while it is being used
        OSError,
    ) as error:
        if postgres.is_passing(error):
            raise unavailable("PostgreSQL", error) from error
        raise


async def in_background(function: Callable[[], T], timeout_s: float) -> T:
    """Call a blocking `function` on a thread of its own; raise TimeoutError after `timeout_s`.

    Unlike the event loop's threads it does not keep the process from ending: a question
    to a broker that is away takes its time.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(set_outcome: Callable[[Any], None], value: Any) -> None:
        if not outcome.done():
            set_outcome(value)

    def call() -> None:
        try:
            settled: tuple[Any, Any] = (outcome.set_result, function())
        except SentinelError as error:
            settled = (outcome.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *settled)

    threading.Thread(target=call, name="sentinel-api-question", daemon=True).start()
    return await asyncio.wait_for(outcome, timeout_s)


async def topic_states(settings: Settings, timeout_s: float) -> list[TopicState]:
    """Return the state of all topics; raise `Problem` (503) where the broker is away."""
    try:
        return await in_background(partial(describe_topics, settings), timeout_s)
    except TimeoutError as error:
        late = TimeoutError(f"no answer within {timeout_s:g} s")
        raise unavailable("the Kafka broker", late) from error
    except KafkaError as error:
        raise unavailable("the Kafka broker", error) from error


async def services(connection: HTTPConnection) -> Services:
    """Return the services of this process."""
    found: Services = connection.app.state.services
    return found


async def tenant(who: PrincipalDep) -> str:
    """Return the tenant that the credential belongs to; `postgres.ALL_TENANTS` for the first."""
    return who.tenant


ServicesDep = Annotated[Services, Depends(services)]
TenantDep = Annotated[str, Depends(tenant)]


async def actor(connection: HTTPConnection, who: PrincipalDep) -> Actor:
    """Return who asks, as the audit log names it."""
    address = connection.client.host if connection.client else ""
    return Actor(who.subject, address, getattr(connection.state, "request", ""))


ActorDep = Annotated[Actor, Depends(actor)]


async def database(services: ServicesDep, who: PrincipalDep, actor: ActorDep) -> Database:
    """Return the database as the tenant of the credential sees it."""
    return Database(services, who.tenant, actor)


DatabaseDep = Annotated[Database, Depends(database)]
