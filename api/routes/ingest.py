"""Take raw events over HTTP and answer when the broker has them."""

from __future__ import annotations

import asyncio
import io
import time
import zlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api import errors
from api.deps import Services, ServicesDep, TenantDep, topic_states
from api.errors import Problem, unavailable
from api.identity.access import Identity
from api.paging import json_response
from api.permissions import allow
from sentinel import postgres, reading, topics
from sentinel.errors import KafkaError
from sentinel.kafka import DeliveryError
from sentinel.settings import Settings

router = APIRouter(
    prefix="/v1/ingest", tags=["ingest"], dependencies=[Depends(allow("events:write"))]
)
#: Largest body as it is sent, and as it is once unpacked, in bytes. One record of the former
#: still fits a message of ``raw.*``, one of more than SENTINEL_MAX_EVENT_BYTES is a dead letter.
MAX_BODY = 8 * 1_048_576
MAX_UNPACKED = 8 * MAX_BODY
#: What `zlib` calls gzip: its largest window, with gzip's header.
GZIP = 16 + zlib.MAX_WBITS
DEFAULT_TENANT = "default"
LOOK_S = 5.0
NAME = r"^[A-Za-z0-9_.@-]{1,128}$"
EXAMPLES = {
    "json": {"summary": "One event", "value": {"eventID": "…", "eventName": "CreateAccessKey"}},
    "records": {"summary": "CloudTrail's envelope", "value": {"Records": [{"eventID": "…"}]}},
    "array": {"summary": "Several events", "value": [{"eventID": "…"}, {"eventID": "…"}]},
}
LINES = "type=SYSCALL msg=audit(1700000000.123:4711): arch=c000003e syscall=59 success=yes …\n"
BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {}, "examples": EXAMPLES},
        "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"eventID": "…"}\n'},
        "text/plain": {"schema": {"type": "string"}, "example": LINES},
    },
}


class Accepted(BaseModel):
    """The broker has the records; what cannot be read in them becomes a dead letter."""

    source: str = Field(examples=["cloudtrail"])
    topic: str = Field(examples=["raw.cloudtrail"])
    tenant: str = Field(examples=["default"])
    accepted: int = Field(description="Records, each a message of the topic.", examples=[2])


class Sources:
    """The topics that records can be sent to, asked from the broker at most every `LOOK_S`."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._looked = float("-inf")

    async def check(self, source: str, settings: Settings) -> None:
        """Raise `Problem` (404) where there is no such source, 503 where nobody can tell."""
        if source not in self._known and time.monotonic() - self._looked > LOOK_S:
            self._known = await known(settings)
            self._looked = time.monotonic()
        if source not in self._known:
            names = ", ".join(sorted(self._known)) or "none yet (`sentinel topics create`)"
            raise Problem(404, f"source: expected one of {names}; found {source}")


async def known(settings: Settings) -> set[str]:
    """Return the sources that have a raw topic."""
    states = await topic_states(settings, LOOK_S)
    found = {state.name for state in states if state.exists}
    return {topics.source_of(name) for name in found if name.startswith(topics.RAW_PREFIX)}


@router.post(
    "/{source}",
    status_code=202,
    response_model=Accepted,
    openapi_extra={"requestBody": BODY},
    responses={
        413: errors.response(f"More than {MAX_BODY} bytes, or {MAX_UNPACKED} unpacked"),
        415: errors.response("Packed with something but gzip"),
    },
)
async def ingest(
    request: Request,
    services: ServicesDep,
    owner: TenantDep,
    source: Annotated[str, Path(pattern=NAME, description="Connector, such as cloudtrail.")],
    tenant: Annotated[
        str | None, Query(pattern=NAME, description="Whose events; default: the token's.")
    ] = None,
    key: Annotated[
        str | None,
        Query(
            pattern=NAME,
            description="Records of one key stay in one partition and in order. Default: the "
            "address of the sender.",
        ),
    ] = None,
) -> Response:
    """Send raw events to `raw.<source>`: JSON, JSON lines, `Records`, arrays, audit.log lines.

    Answered with 202 once the broker has them all. A repeated request does no harm where
    the source gives its events ids of their own: they are recognised as duplicates.

    Sources that write one event over several records (auditd) need the records of a host in
    one partition and in order. All of a request are, and those of one sender; behind a proxy
    or a forwarder for several hosts, give the name of the host as `key`. Requests of one key
    should follow one another, not overlap.

    Send at most 8 MiB at a time, 64 MiB unpacked with `Content-Encoding: gzip`.
    """
    whose = name_tenant(owner, tenant)
    await request.app.state.sources.check(source, services.settings)
    records = list(reading.records(io.BytesIO(await body_of(request))))
    if not records:
        raise Problem(422, "body: expected at least one record, found none")
    await spend(request, services, whose, len(records))
    sender = key or (request.client.host if request.client else "")
    await send(services, topics.raw(source), records, f"{whose}/{sender}".encode(), whose)
    accepted = {"source": source, "topic": topics.raw(source), "tenant": whose}
    return json_response(accepted | {"accepted": len(records)}, 202)


async def spend(request: Request, services: Services, tenant: str, events: int) -> None:
    """Count events against the tenant's quota; raise `Problem` (403, 413, 429) beyond it."""
    identity: Identity = request.app.state.identity
    quota = await identity.credentials.quota(tenant, services)
    identity.rates.events(tenant, quota, events)


def name_tenant(owner: str, wanted: str | None) -> str:
    """Return whose events these are; raise `Problem` (403) where the token is another tenant's."""
    if owner == postgres.ALL_TENANTS:
        return wanted or DEFAULT_TENANT
    if wanted not in {None, owner}:
        raise Problem(403, f"tenant: expected {owner}, whose token this is, found {wanted}")
    return owner


async def body_of(request: Request) -> bytes:
    """Read the body and unpack it; raise `Problem` (413) as soon as it is too large.

    Raises
    ------
    Problem
        413 as above, 415 where it is packed with something but gzip, 422 where it is not
        the gzip it says it is.
    """
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing not in {"identity", "gzip"}:
        raise Problem(415, f"Content-Encoding: expected gzip or none, found {packing[:100]}")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise Problem(413, f"body: expected at most {MAX_BODY} bytes, found more; cut it up")
        parts.append(part)
    body = b"".join(parts)
    return await asyncio.to_thread(unpacked, body) if packing == "gzip" else body


def unpacked(body: bytes) -> bytes:
    """Return the content of gzip, of one or several members; never more than `MAX_UNPACKED`."""
    parts: list[bytes] = []
    left = MAX_UNPACKED + 1
    try:
        while body:
            member = zlib.decompressobj(GZIP)
            parts.append(member.decompress(body, left))
            left -= len(parts[-1])
            if not left:
                detail = f"body: expected at most {MAX_UNPACKED} bytes unpacked, found more"
                raise Problem(413, f"{detail}; cut it up")
            if not member.eof:
                raise Problem(422, "body: expected whole gzip, found it cut off; send it again")
            body = member.unused_data
    except zlib.error as error:
        raise Problem(422, f"body: expected gzip as Content-Encoding says: {error}") from error
    return b"".join(parts)


async def send(
    services: Services, topic: str, records: list[bytes], key: bytes, tenant: str
) -> None:
    """Send the records and return when the broker has them; raise `Problem` (503) if not."""
    headers: Any = {"tenant": tenant.encode()}
    producer = services.producer
    try:
        for record in records:
            producer.send(topic, record, key=key, headers=headers)
        await producer.flush()
    except DeliveryError as error:
        raise unavailable("the Kafka broker", error) from error
    except KafkaError as error:
        await services.drop_producer()
        raise unavailable("the Kafka broker", error) from error
