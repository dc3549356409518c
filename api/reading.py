"""Routes that read: what they ask of a request is worked out once, not with each request.

FastAPI looks at the type of every parameter of every dependency for each request: with the
thirty of a list that is most of the time it takes. A route of this class has the same
declarations, the same OpenAPI and the same answers; only where all parameters are valid are
they read by the steps below. Anything else is FastAPI's to refuse, in its own words.

What FastAPI would let pass is refused here: a parameter that a route does not have. A filter
that is misspelled, and ignored, would answer with everything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, Final, NamedTuple, get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.errors import Problem

#: What of FastAPI's no such route may use: then its dependencies need FastAPI to be solved.
NOT_FOR_READING: Final = (
    *("header_params", "cookie_params", "body_params", "response_param_name"),
    *("background_tasks_param_name", "security_scopes_param_name", "websocket_param_name"),
)


class Read(APIRoute):
    """A route whose parameters are those of path and query, and whose dependencies are coroutines.

    Raises
    ------
    TypeError
        When it is made: it asks for something else, such as a body.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refuse = self.app
        *before, self._last = [_step(each, places) for each, places in _in_order(self.dependant)]
        self._before = before
        #: Names of all parameters, where others are refused.
        self.known: list[str] | None = None
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; errors are answered by the middleware for them."""
        request = Request(scope, receive, send)
        if self.known is not None and scope["query_string"]:
            _check(request.query_params, self.known)
        found: list[Any] = []
        for step in self._before:
            given = step.given(request, found)
            if given is None:
                await self._refuse(scope, receive, send)
                return
            found.append(await step.call(**given))
        given = self._last.given(request, found)
        if given is None:
            await self._refuse(scope, receive, send)
            return
        response: Response = await self._last.call(**given)
        await response(scope, receive, send)


class _Parameter(NamedTuple):
    """One parameter of path or query."""

    name: str
    alias: str
    several: bool
    required: bool
    default: Any
    validate: Callable[..., tuple[Any, Any]]


class _Step(NamedTuple):
    """A dependency, or the route itself: what is called, and with what."""

    call: Callable[..., Coroutine[Any, Any, Any]]
    #: Name of an argument, and the place of the step that found it.
    found: tuple[tuple[str, int], ...]
    path: tuple[_Parameter, ...]
    query: tuple[_Parameter, ...]
    connection: tuple[str, ...]

    def given(self, request: HTTPConnection, found: list[Any]) -> dict[str, Any] | None:
        """Return the arguments, None where a parameter is missing or not valid."""
        values = {name: found[place] for name, place in self.found}
        for name in self.connection:
            values[name] = request
        for parameters, sent in ((self.path, request.path_params), (self.query, None)):
            if not parameters:
                continue
            asked = request.query_params if sent is None else sent
            for each in parameters:
                if each.alias not in asked:
                    if each.required:
                        return None
                    values[each.name] = each.default
                    continue
                value = asked.getlist(each.alias) if each.several else asked[each.alias]  # type: ignore[union-attr]
                values[each.name], wrong = each.validate(value, {}, loc=())
                if wrong:
                    return None
        return values


def _in_order(dependant: Dependant) -> Iterator[tuple[Dependant, dict[Any, int]]]:
    """Yield each dependency once, after what it depends on, and the places of those before."""
    places: dict[Any, int] = {}

    def walk(node: Dependant) -> Iterator[tuple[Dependant, dict[Any, int]]]:
        for each in node.dependencies:
            if each.call not in places:
                yield from walk(each)
        yield node, places
        places[node.call] = len(places)

    return walk(dependant)


def _step(dependant: Dependant, places: dict[Any, int]) -> _Step:
    call = dependant.call
    used = [name for name in NOT_FOR_READING if getattr(dependant, name)]
    if used or not inspect.iscoroutinefunction(call):
        raise TypeError(f"expected a coroutine with parameters of path and query, found {call}")
    names = (dependant.request_param_name, dependant.http_connection_param_name)
    return _Step(
        call,
        tuple((each.name, places[each.call]) for each in dependant.dependencies if each.name),
        tuple(map(_parameter, dependant.path_params)),
        tuple(map(_parameter, dependant.query_params)),
        tuple(filter(None, names)),
    )


def _parameter(field: Any) -> _Parameter:
    annotation = field.field_info.annotation
    several = any(get_origin(each) is list for each in (annotation, *get_args(annotation)))
    required = field.field_info.is_required()
    default = None if required else field.default
    if not (default is None or isinstance(default, str | int | float)):
        raise TypeError(f"{field.name}: expected a default that cannot change, found {default!r}")
    return _Parameter(field.name, field.alias, several, required, default, field.validate)


def refuse_unknown(route: APIRoute) -> None:
    """Let a route answer 422 where it is asked with a parameter that it does not have."""
    parts = [each for each, _ in _in_order(route.dependant)]
    known = sorted({field.alias for each in parts for field in each.query_params})
    if isinstance(route, Read):  # it reads them itself: once is enough
        route.known = known
        return
    answer = route.app

    async def careful(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"]:
            _check(QueryParams(scope["query_string"]), known)
        await answer(scope, receive, send)

    route.app = careful


def _check(query: QueryParams, known: list[str]) -> None:
    for name, value in query.multi_items():
        if name in known:
            continue
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
        error = {
            "parameter": name[:64],
            "expected": "a parameter of this path",
            "found": value[:64],
        }
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{name[:64]}: expected a parameter of this path, found none of that name; {hint}",
            errors=[error],
        )
