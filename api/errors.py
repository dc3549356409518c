"""Errors as RFC 9457 problem details: what was expected, what was found, what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sentinel import log

MEDIA_TYPE = "application/problem+json"
_log = log.get("api")


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 describes it."""

    type: str = Field("about:blank", description="Kind of problem; the title says it in words.")
    title: str = Field(examples=["Unauthorized"])
    status: int = Field(examples=[401])
    detail: str = Field(
        description="Expected, found, what to do.",
        examples=["expected a bearer token, found none; send the header Authorization"],
    )
    instance: str = Field(description="Path of the request.", examples=["/v1/alerts"])
    errors: list[dict[str, Any]] = Field([], description="One for each parameter that is wrong.")


class Problem(Exception):  # noqa: N818 # the term of the RFC
    """Raise it anywhere below a route to answer with a problem.

    Parameters
    ----------
    status
        HTTP status.
    detail
        One sentence: expected, found, what to do.
    headers
        More response headers, such as ``Retry-After``.
    errors
        What is wrong with single parameters, as `ProblemDetails.errors` shows it.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: dict[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.errors = errors or []


def unavailable(what: str, error: BaseException) -> Problem:
    """Return the problem of a part that cannot be reached now (503, try again in 5 s)."""
    reason = " ".join(str(error).split()) or type(error).__name__
    detail = f"{what} cannot be reached: {reason}; it is tried again with the next request"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "5"})


def answer(
    path: str,
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> Response:
    """Return the response for a problem."""
    problem = ProblemDetails(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=path,
        errors=errors or [],
    )
    body = orjson.dumps(problem.model_dump(exclude_defaults=False), default=str)
    return Response(body, status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let `app` answer every error as a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)


def response(description: str) -> dict[str, Any]:
    """Return what OpenAPI says of a route that may answer with a problem."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


#: What any route may answer, for OpenAPI.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: response(HTTPStatus(status).phrase)
    for status in (400, 401, 403, 404, 409, 412, 413, 422, 429, 503)
}


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 # registered for it only
    return answer(request.url.path, error.status, error.detail, error.headers, error.errors)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 # registered for it only
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path}; /docs lists what there is"
    return answer(request.url.path, error.status_code, detail, dict(error.headers or {}))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 # registered for it only
    errors = [
        {"parameter": ".".join(map(str, e["loc"][1:])), "expected": e["msg"], "found": _shown(e)}
        for e in error.errors()
    ]
    detail = "; ".join(f"{e['parameter']}: {e['expected']}, found {e['found']}" for e in errors)
    return answer(request.url.path, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


async def _bug(request: Request, error: Exception) -> Response:
    number = getattr(request.state, "request", "")  # the context of the log has ended
    _log.error(
        "a request failed",
        action="api_bug",
        path=request.url.path,
        request=number,
        exc_info=error,
    )
    detail = f"this is a bug of Sentinel; the log of the API has the details of request {number}"
    headers = {"X-Request-ID": number}
    return answer(request.url.path, HTTPStatus.INTERNAL_SERVER_ERROR, detail, headers)


def _shown(error: Any) -> str:
    text = repr(error.get("input"))
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 100 else f"{text[:100]}…"
