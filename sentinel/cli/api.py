"""Serve the API: alerts, events, a way in for raw logs."""

from __future__ import annotations

import ssl
import sys
from typing import Any

import uvicorn

from api.app import create
from api.errors import Problem
from api.identity.setup import NAME, first_admin
from api.sending.joined import Protocol
from sentinel import local, log
from sentinel.cli import _common
from sentinel.errors import SettingsError
from sentinel.settings import Settings


def command() -> None:
    """Serve the API on SENTINEL_API_HOST and SENTINEL_API_PORT until interrupted.

    Listens on the loopback interface unless told otherwise. Before it listens to a network,
    give it a certificate (SENTINEL_API_TLS_CERTIFICATE and _KEY; with _CLIENT_CA clients need
    one too), or put a TLS proxy in front of it and name that in SENTINEL_API_PROXIES.

    Where there is no user yet, makes the user `admin` of all tenants, whose one-time secret
    is in the file admin-secret of SENTINEL_HOME: `sentinel users password admin --tenant '*'`.
    """
    settings = local.connect(_common.settings())
    log.configure(settings.log_level)
    tls = tls_options(settings)
    app = create(settings)
    _welcome(settings)
    port = settings.api_port or "(free port)"
    _common.note(f"API at http{'s' if tls else ''}://{settings.api_host}:{port}/docs")
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        http=Protocol,
        timeout_graceful_shutdown=5,
        proxy_headers=bool(settings.api_proxies),
        forwarded_allow_ips=settings.api_proxies,
        **tls,
    )


def tls_options(settings: Settings) -> dict[str, Any]:
    """Return what uvicorn is told about TLS, nothing where it is off.

    Raises
    ------
    SettingsError
        Certificate and key are not both there, or are no pair.
    """
    certificate, key = settings.api_tls_certificate, settings.api_tls_key
    if not (certificate or key or settings.api_tls_client_ca):
        return {}
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if settings.api_tls_client_ca:
            context.load_verify_locations(settings.api_tls_client_ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"expected a PEM certificate and its key at SENTINEL_API_TLS_CERTIFICATE "
            f"({certificate or 'not set'}) and SENTINEL_API_TLS_KEY ({key or 'not set'}), and a "
            f"CA at SENTINEL_API_TLS_CLIENT_CA if that is set; found: {error}"
        ) from error
    options: dict[str, Any] = {"ssl_certfile": certificate, "ssl_keyfile": key}
    if settings.api_tls_client_ca:
        options |= {
            "ssl_ca_certs": settings.api_tls_client_ca,
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }
    return options


def _welcome(settings: Settings) -> None:
    """Make the first user where there is none, and tell a person at a terminal its secret."""
    try:
        path = _common.run(first_admin(settings))
    except Problem as problem:
        _common.note(f"no first user yet, try again with the next start: {problem.detail}")
        return
    if path is None:
        return
    _common.note(f"made the user {NAME} of all tenants; its one-time secret is in {path}")
    if sys.stderr.isatty():  # a log must not have it
        _common.note(f"  {path.read_text().strip()}")
    _common.note(f"choose a password: sentinel users password {NAME} --tenant '*'")
