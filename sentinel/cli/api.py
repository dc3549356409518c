"""Serve the API: alerts, events, a way in for raw logs."""

from __future__ import annotations

import uvicorn

from api.app import create
from sentinel import local, log
from sentinel.cli import _common


def command() -> None:
    """Serve the API on SENTINEL_API_HOST and SENTINEL_API_PORT until interrupted.

    Listens on the loopback interface unless told otherwise: it speaks plain HTTP, so put a
    TLS proxy in front of it before it listens to a network.
    """
    settings = local.connect(_common.settings())
    log.configure(settings.log_level)
    app = create(settings)
    _common.note(f"API at http://{settings.api_host}:{settings.api_port or '(free port)'}/docs")
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
