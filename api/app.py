"""Build the application: every module of `api.routes` is in it."""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware

from api import docs, errors, routes
from api.auth import OPEN, Edge, Guard
from api.deps import Database, Services
from api.identity.access import Identity
from api.reading import refuse_unknown
from api.routes.alert_stream import Head
from api.routes.ingest import Sources
from api.sending.conditional import Compressed, Conditional
from api.work import feedback
from sentinel import __version__, postgres
from sentinel.settings import Settings

DESCRIPTION = """\
Alerts, the events behind them, and a way in for raw logs.

Every call but `/health` and those that sign in needs `Authorization: Bearer TOKEN`: an access
token of `POST /v1/auth/login`, an API key of `POST /v1/keys`, or, for scripts of the machine
itself, the token in the file `api-token` of SENTINEL_HOME. What it may do is a matter of its
role; whose rows it sees, of its tenant. Lists are paged: pass `next` of one page as `cursor`
of the next. Errors are RFC 9457 problem details, and every answer has an `X-Request-ID`.
"""
#: Routes are tried one by one, so these come first.
ASKED_MOST = frozenset({"alerts", "events", "stats"})
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token, an API key, or the token in the file api-token.",
}


def create(settings: Settings) -> FastAPI:
    """Return the application for `settings`, whose addresses are filled in.

    The token file is made where there is none. Nothing is connected to yet.

    Raises
    ------
    SettingsError
        A token file cannot be read.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = Services(settings)
        app.state.services, app.state.sources = services, Sources()
        app.state.head = Head(services)
        everywhere = Database(services, postgres.ALL_TENANTS)
        beside = [
            asyncio.create_task(identity.rates.counts.settle_for_ever(everywhere)),
            asyncio.create_task(feedback.send(services)),  # what waits since the last run
        ]
        yield
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
        await services.close()

    app = FastAPI(
        title="Sentinel",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for router in routers():
        # not include_router: that asks each router for each request, which costs three times
        # as much as all the rest; what it would add is in `_describe`
        app.router.routes.extend(router.routes)
        for route in router.routes:
            # not of what is open: probes and identity providers send what they like
            if isinstance(route, APIRoute) and route.path not in OPEN:
                refuse_unknown(route)
    docs.install(app)
    errors.install(app)
    app.add_middleware(Conditional)
    app.add_middleware(Compressed, minimum_size=1000, compresslevel=5)
    app.state.identity = identity = Identity.load(settings)
    app.add_middleware(Guard, credentials=identity.credentials, rates=identity.rates)
    app.add_middleware(Edge)
    if settings.api_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.api_origins.split(","),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "ETag"],
        )
    _describe(app)
    return app


def routers() -> list[APIRouter]:
    """Return the router of every module of `api.routes`, those asked most first."""
    names = sorted(
        (info.name for info in pkgutil.iter_modules(routes.__path__)),
        key=lambda name: name not in ASKED_MOST,
    )
    return [import_module(f"{routes.__name__}.{name}").router for name in names]


def _describe(app: FastAPI) -> None:
    """Add to OpenAPI what holds for all routes: problems, the token, and which need none."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schemas = document["components"]["schemas"]
            schemas["ProblemDetails"] = errors.ProblemDetails.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            document["components"]["securitySchemes"] = {"HTTPBearer": BEARER}
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    operation["security"] = [] if path in OPEN else [{"HTTPBearer": []}]
                    _add_problems(operation["responses"])
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it


def _add_problems(responses: dict[str, Any]) -> None:
    responses.pop("422", None)  # FastAPI's own, which we never answer
    for status, problem in errors.RESPONSES.items():
        responses.setdefault(str(status), problem)
