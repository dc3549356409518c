"""Grafana and Prometheus: what to scrape, and a login for panels over PostgreSQL."""

from __future__ import annotations

import json as json_module
import secrets
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import psycopg
import typer

from sentinel import local
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError, StackError
from sentinel.local import home
from sentinel.local.probe import HOST

app = typer.Typer(no_args_is_help=True, help=__doc__)
Folder = Annotated[Path, typer.Argument(help="Folder, such as infra/prometheus/targets.")]
Login = Annotated[str, typer.Argument(help="Name of the PostgreSQL login, such as grafana.")]
Tenant = Annotated[str, typer.Option(help="The one tenant it sees; * is all.")]


@app.command()
def targets(folder: Folder) -> None:
    """Write the addresses of a running stack's metrics as Prometheus' file_sd wants them."""
    settings = local.connect(_common.settings())
    facts = home.facts(settings.home)
    if facts is None:
        raise StackError(f"not running: run `sentinel up` (home: {settings.home})")
    jobs = {
        "sentinel-worker": [f"{HOST}:{port}" for port in facts["metrics"].values()],
        "sentinel-api": [urlsplit(facts["api"]).netloc],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for job, addresses in jobs.items():
        path = folder / f"{job}.json"
        path.write_text(json_module.dumps([{"targets": addresses}]), encoding="utf-8")
        _common.note(f"{path}: {', '.join(addresses)}")


@app.command()
def login(name: Login, tenant: Tenant, json: JsonOption = False) -> None:
    """Make a read-only PostgreSQL login that sees one tenant; its password is shown once.

    Whatever SQL a panel holds, it sees that tenant's rows alone. Called again, the login gets
    a new password.
    """
    if not tenant:
        raise SettingsError("--tenant: expected the name of a tenant, or * for all, found nothing")
    settings = local.connect(_common.settings(), "postgres")
    password = secrets.token_urlsafe(24)
    try:
        with psycopg.connect(settings.postgres) as connection:
            connection.execute(
                "SELECT public.make_dashboard_login(%s, %s, %s)", (name, tenant, password)
            )
    except psycopg.errors.RaiseException as error:
        raise SettingsError(str(error.diag.message_primary)) from error
    except psycopg.OperationalError as error:
        raise StackError(
            f"expected a PostgreSQL at SENTINEL_POSTGRES, found: {' '.join(str(error).split())}; "
            "is it up (`sentinel status`)?"
        ) from error
    where = urlsplit(settings.postgres)
    row = {
        "user": name,
        "password": password,
        "host": where.hostname,
        "port": where.port,
        "database": where.path.lstrip("/"),
        "tenant": tenant,
    }
    if json:
        _common.print_json(row)
        return
    _common.print_table("Login for dashboards (shown once)", list(row), [list(row.values())])
