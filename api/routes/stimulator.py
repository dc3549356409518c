"""Stimulators: commands are written to a topic, what came of them is read from one."""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import errors
from api.deps import ServicesDep, TenantDep, in_background
from api.errors import Problem, unavailable
from api.paging import json_response
from api.permissions import allow
from api.routes.ingest import name_tenant, send
from bci.stimulator.calls import MOST, MOST_ITEMS, NAMES, SIGNATURES
from sentinel import topics
from sentinel.errors import KafkaError
from sentinel.kafka.tail import Record, tail

router = APIRouter(prefix="/v1/neural/stimulator", tags=["neural"])
DEVICE = "cerestim"
NAME = r"^[A-Za-z0-9_.@-]{1,64}$"
#: Records that are looked through for the state, and s that may take.
LOOKED, LOOK_S = 2_000, 10.0
Call = Literal[NAMES]  # type: ignore[valid-type]  # the names that the device has
Number = Annotated[int, Field(ge=0, le=MOST, strict=True)]
Arguments = dict[str, Number | Annotated[list[Number], Field(max_length=MOST_ITEMS)]]
Device = Annotated[str, Query(pattern=NAME, description="Which stimulator.")]
Whose = Annotated[
    str | None, Query(pattern=NAME, description="Whose stimulator; default: the token's.")
]


class Sent(BaseModel):
    """The broker has the command. What the device said is in `GET /v1/neural/stimulator`."""

    id: str = Field(description="Of the outcome as well.", examples=["c0ffee"])
    device: str = Field(examples=[DEVICE])
    call: str = Field(examples=["manualStimulus"])
    topic: str = Field(examples=[topics.COMMANDS])


class Outcome(BaseModel):
    """What a device said to a command."""

    id: str = Field(examples=["c0ffee"])
    call: str = Field(examples=["manualStimulus"])
    time_ms: int = Field(description="When it was made, ms since 1970.", examples=[1769860800000])
    result: int | None = Field(
        description="The device's code, 0 for success; null where the command came too late.",
        examples=[-131],
    )
    name: str | None = Field(None, description="The code in words.", examples=["device_locked"])
    output: Any = Field(None, description="What the call asked for.")
    refused: str | None = Field(None, description="Why the device was not asked.")


class StimulatorState(BaseModel):
    """A device as it was after the last command, and what came of the last ones."""

    model_config = ConfigDict(extra="forbid")
    device: str = Field(examples=[DEVICE])
    connected: bool
    locked: bool = Field(description="It stimulates no more until `resetStimulator`.")
    sequence: int | None = Field(
        description="0 stopped, 1 paused, 2 playing, 3 writing, 4 waiting for a trigger.",
        examples=[2],
    )
    patterns: list[int] = Field(description="Patterns that are set.", examples=[[1, 2]])
    commands: int = Field(description="Commands in its script.", examples=[12])
    voltage: int = Field(description="Code of the compliance voltage.", examples=[15])
    trigger: int = Field(description="Edge that it waits for, 0 for none.", examples=[0])
    stimuli: int = Field(description="Stimuli among the last records.", examples=[40])
    outcomes: list[Outcome] = Field(description="Of the last commands, newest first.")


@router.post(
    "/{call}",
    status_code=202,
    response_model=Sent,
    dependencies=[Depends(allow("neural:stimulate"))],
    responses={400: errors.response("The body is not UTF-8")},
)
async def make_call(
    services: ServicesDep,
    owner: TenantDep,
    call: Annotated[Call, Path(description="Name of the call, as Blackrock spells it.")],
    arguments: Arguments | None = None,
    device: Device = DEVICE,
    tenant: Whose = None,
) -> Response:
    """Send a call to a stimulator: `{"electrode": 7, "configID": 1}` for `manualStimulus`.

    Answered with 202 once the broker has the command. Each is made once, and not at all when
    it is older than 2 s; calls of a device are made in order. Begin with `setDevice`
    (`{"index": 0}`) and `connect`.
    """
    whose = name_tenant(owner, tenant)
    known, needed = SIGNATURES[call]
    if len(arguments or {}) > len(known) or (needed and not arguments):
        shown = ", ".join(known) or "none"
        raise Problem(422, f"body: expected the arguments of {call} ({shown}) as a JSON object")
    command = {
        "id": uuid.uuid4().hex,
        "device": device,
        "call": call,
        "arguments": arguments or {},
        "time_ms": time.time_ns() // 1_000_000,
    }
    key = f"{whose}/{device}".encode()
    await send(services, topics.COMMANDS, [orjson.dumps(command)], key, whose)
    told = {name: command[name] for name in ("id", "device", "call")}
    return json_response(told | {"topic": topics.COMMANDS}, 202)


@router.get(
    "",
    response_model=StimulatorState,
    dependencies=[Depends(allow("neural:read"))],
    responses={404: errors.response("Nothing was sent to this stimulator lately")},
)
async def show_state(
    services: ServicesDep,
    owner: TenantDep,
    device: Device = DEVICE,
    tenant: Whose = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most outcomes to return.")] = 20,
) -> Response:
    """Show a stimulator as it was after its last command, and what came of the last ones."""
    whose = name_tenant(owner, tenant)
    read = partial(
        tail, services.settings, topics.STIMULI, f"{whose}/{device}".encode(), LOOKED, LOOK_S
    )
    try:
        records = await in_background(read, 2 * LOOK_S)
    except TimeoutError as error:
        late = TimeoutError(f"no answer within {2 * LOOK_S:g} s")
        raise unavailable("the Kafka broker", late) from error
    except KafkaError as error:
        raise unavailable("the Kafka broker", error) from error
    return json_response(state_of(device, records, limit))


def state_of(device: str, records: list[Record], limit: int) -> dict[str, Any]:
    """Return the state after the last outcome; raise `Problem` (404) where there is none."""
    said = [orjson.loads(record.value) for record in records]
    outcomes = [each for each in said if each["kind"] == "outcome"]
    if not outcomes:
        raise Problem(
            404,
            f"device: expected one that had a command lately, found none for {device}; "
            "send one with POST /v1/neural/stimulator/connect",
        )
    stimuli = sum(each["kind"] == "stimulus" for each in said)
    names = tuple(Outcome.model_fields)
    shown = [{name: each.get(name) for name in names} for each in outcomes[: -limit - 1 : -1]]
    return {"device": device, **outcomes[-1]["state"], "stimuli": stimuli, "outcomes": shown}
