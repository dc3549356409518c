"""Routes that read answer as FastAPI's own do, to whatever is asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Query
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import errors
from api.reading import Read

ID = "6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11"
QUERIES = (
    *("", "limit=5", "limit=0", "limit=x", "limit=1&limit=7", "kind=a", "kind=a&kind=b", "kind=c"),
    *("name=%00", "name=ada&flag=false", "flag=maybe", "since=2026-01-31T12:00:00Z", "since=then"),
    *("fields=a,b", "fields=", "other=1", "limit=&kind=", "name=a%20b&kind=a&fields=x&limit=3"),
)


class Body(BaseModel):
    """What a route that reads does not take."""

    text: str


async def chosen(fields: Annotated[str | None, Query(max_length=5)] = None) -> list[str]:
    return fields.split(",") if fields else []


async def both(
    request: Request,
    fields: Annotated[list[str], Depends(chosen)],
    kind: Annotated[list[Literal["a", "b"]] | None, Query()] = None,
) -> dict[str, Any]:
    return {"fields": fields, "kind": kind, "path": request.url.path}


async def show(
    one: UUID,
    found: Annotated[dict[str, Any], Depends(both)],
    fields: Annotated[list[str], Depends(chosen)],
    name: Annotated[str | None, Query(pattern=r"^[^\x00]*$")] = None,
    limit: Annotated[int, Query(ge=1, le=10)] = 3,
    flag: bool = True,
) -> Response:
    return JSONResponse([str(one), found, fields, name, limit, flag])


def application(kind: type[Any]) -> FastAPI:
    router = APIRouter(route_class=kind)
    router.get("/things/{one}")(show)
    app = FastAPI()
    app.router.routes.extend(router.routes)
    errors.install(app)
    return app


async def ask(app: FastAPI, path: str) -> tuple[int, Any]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        answer = await client.get(path)
        return answer.status_code, answer.json()


async def test_answers_and_refusals_are_those_of_fastapi() -> None:
    ours, theirs = application(Read), application(APIRoute)
    seen = set()
    for one in (ID, "none"):
        for query in QUERIES:
            path = f"/things/{one}?{query}"
            answer = await ask(ours, path)
            assert answer == await ask(theirs, path), path
            seen.add(answer[0])
    assert seen == {200, 422}
    assert ours.openapi()["paths"] == theirs.openapi()["paths"]


def test_what_needs_more_than_path_and_query_is_refused_when_it_is_made() -> None:
    router = APIRouter(route_class=Read)

    async def takes(body: Body) -> Response:
        return Response(body.text)

    async def looks(agent: Annotated[str, Header()]) -> Response:
        return Response(agent)

    def blocks() -> Response:
        return Response()

    for method, endpoint in (("POST", takes), ("GET", looks), ("GET", blocks)):
        with pytest.raises(TypeError, match="expected a coroutine with parameters of path"):
            router.add_api_route("/x", endpoint, methods=[method])
