"""The machine that the API runs on: how busy, how full."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.deps import ServicesDep
from api.paging import json_response
from api.permissions import allow

router = APIRouter(
    prefix="/v1/host", tags=["operations"], dependencies=[Depends(allow("operations:read"))]
)
#: Seconds over which the use of the processors is taken.
SPAN_S = 0.5


class Host(BaseModel):
    """Use of the machine, in percent of all it has."""

    cpu_percent: float = Field(ge=0, le=100, examples=[12.5])
    memory_percent: float = Field(ge=0, le=100, examples=[41.0])
    disk_percent: float = Field(
        ge=0, le=100, description="Of the disk that SENTINEL_HOME is on.", examples=[63.2]
    )
    cores: int = Field(examples=[2])


@router.get("", response_model=Host)
async def host(services: ServicesDep) -> Response:
    """Say how busy the processors were for half a second, and how full memory and disk are."""
    before = psutil.cpu_times()
    await asyncio.sleep(SPAN_S)
    disk = await asyncio.to_thread(psutil.disk_usage, str(services.settings.home.resolve()))
    return json_response(
        {
            "cpu_percent": busy(before, psutil.cpu_times()),
            "memory_percent": psutil.virtual_memory().percent,
            "disk_percent": disk.percent,
            "cores": psutil.cpu_count() or 1,
        }
    )


def busy(before: Any, after: Any) -> float:
    """Return the part of the time between two readings that was not idle, in percent."""
    spent = [max(0.0, late - early) for early, late in zip(before, after, strict=True)]
    idle = sum(part for name, part in zip(after._fields, spent, strict=True)
               if name in {"idle", "iowait"})  # fmt: skip
    # Time of guests is part of that of users already.
    total = sum(part for name, part in zip(after._fields, spent, strict=True)
                if not name.startswith("guest"))  # fmt: skip
    return round(100 * (1 - idle / total), 1) if total else 0.0
