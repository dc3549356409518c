"""The audit log: list it, and verify that nothing in it was changed, cut off or slipped in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import typer

from api.identity.audit import Head, verify
from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import listing, options
from sentinel.errors import SentinelError, SettingsError

app = typer.Typer(no_args_is_help=True, help=__doc__)
COLUMNS = ("time", "tenant", "actor", "address", "action", "target", "detail")
#: Where the ends of the chains are noted, in SENTINEL_HOME.
ANCHORS = "audit-anchors.json"


@app.command("list")
def list_lines(
    since: options.Since = None,
    until: options.Until = None,
    action: Annotated[str | None, typer.Option(help="Such as user.login.")] = None,
    actor: Annotated[str | None, typer.Option(help="Such as user:ada.")] = None,
    target: Annotated[str | None, typer.Option(help="Id of what was changed.")] = None,
    tenant: options.OnlyTenant = None,
    limit: options.Limit = None,
    json: JsonOption = False,
) -> None:
    """List the audit log, newest first; as JSON lines, all of it unless limited."""
    asked = listing.span(since, until) | {"action": action, "actor": actor}
    shape = listing.Shape("Audit log", COLUMNS, _cells, "take filters off")
    listing.show("/v1/audit", asked | {"target": target, "tenant": tenant}, shape, limit, json)


@app.command("verify")
def check(
    anchors: Annotated[
        Path | None,
        typer.Option(help="File with the ends of the chains; default: in SENTINEL_HOME."),
    ] = None,
    tenant: options.OnlyTenant = None,
    json: JsonOption = False,
) -> None:
    """Recompute every hash, here; exits with 1 where a chain does not hold.

    The end of each chain is noted in a file and must be there the next time, so that lines
    cut off at the end are missed too. Keep a copy of the file on another machine.
    """
    path = anchors or _common.settings().home / ANCHORS
    noted = _anchors(path)
    known = {whose: head for whose, head in noted.items() if tenant in {None, whose}}
    with _client.connect() as client:
        heads, broken = verify(_rows(client, tenant), known)
    if json:
        _common.print_json(*(head._asdict() for head in heads.values()))
    if broken:
        told = "; ".join(f"log of {each.tenant}, line {each.seq}: {each.why}" for each in broken)
        raise SentinelError(f"expected an audit log as it was written, found another: {told}")
    ends = {whose: head[1:] for whose, head in (noted | heads).items()}
    path.write_bytes(orjson.dumps(ends))
    lines = sum(head.seq for head in heads.values())
    _common.note(f"the audit log holds: {lines} lines in {len(heads)} chains; noted in {path}")


def _anchors(path: Path) -> dict[str, Head]:
    if not path.exists():
        return {}
    try:
        noted = orjson.loads(path.read_bytes())
        return {tenant: Head(tenant, int(seq), str(end)) for tenant, (seq, end) in noted.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise SettingsError(f"expected the ends of chains in {path}, found: {error}") from error


def _rows(client: httpx.Client, tenant: str | None) -> Iterator[dict[str, Any]]:
    for line in _client.pages(client, "/v1/audit/chain", {"tenant": tenant}, None):
        hashes = {name: bytes.fromhex(line[name]) for name in ("previous", "hash")}
        yield line | hashes | {"at": datetime.fromisoformat(line["at"])}


def _cells(line: dict[str, Any]) -> tuple[Any, ...]:
    names = ("at", "tenant", "actor", "address", "action", "target", "detail")
    return (listing.when(line["at"]), *(line[name] for name in names[1:]))
