"""Take raw events over HTTP and answer when the broker has them."""

from __future__ import annotations

import io
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import Services, ServicesDep, TenantDep, topic_states
from api.errors import Problem, unavailable
from api.paging import json_response
from sentinel import postgres, reading, topics
from sentinel.errors import KafkaError
from sentinel.kafka import DeliveryError
from sentinel.settings import Settings

router = APIRouter(prefix="/v1/ingest", tags=["ingest"])
#: Largest body; one record of that size still fits a message of ``raw.*``.
MAX_BODY = 15 * 1_048_576
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
    responses={413: {"description": f"More than {MAX_BODY} bytes"}},
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
        Query(pattern=NAME, description="Records of one key stay in order; default: the sender."),
    ] = None,
) -> Response:
    """Send raw events to `raw.<source>`: JSON, JSON lines, `Records`, arrays, audit.log lines.

    Answered with 202 once the broker has them all. A repeated request does no harm where
    the source gives its events ids of their own: they are recognised as duplicates.
    """
    whose = name_tenant(owner, tenant)
    await request.app.state.sources.check(source, services.settings)
    records = list(reading.records(io.BytesIO(await body_of(request))))
    if not records:
        raise Problem(422, "body: expected at least one record, found none")
    sender = key or (request.client.host if request.client else "")
    await send(services, topics.raw(source), records, f"{whose}/{sender}".encode(), whose)
    accepted = {"source": source, "topic": topics.raw(source), "tenant": whose}
    return json_response(accepted | {"accepted": len(records)}, 202)


def name_tenant(owner: str, wanted: str | None) -> str:
    """Return whose events these are; raise `Problem` (403) where the token is another tenant's."""
    if owner == postgres.ALL_TENANTS:
        return wanted or DEFAULT_TENANT
    if wanted not in {None, owner}:
        raise Problem(403, f"tenant: expected {owner}, whose token this is, found {wanted}")
    return owner


async def body_of(request: Request) -> bytes:
    """Read the body; raise `Problem` (413) as soon as it is too large."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise Problem(413, f"body: expected at most {MAX_BODY} bytes, found more; cut it up")
        parts.append(part)
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
