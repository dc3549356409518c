"""Show what look-ups know, ask them about a value, and fetch indicators by TAXII."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from connectors._intel.taxii import Taxii
from detectors.enrich import folder
from detectors.enrich.enricher import Enricher, Row
from detectors.enrich.indicators import IP, kind_of, refanged
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.errors import SettingsError

#: The last second that has a date: a damaged database may say any number.
_LAST_S: Final = int(datetime.max.replace(tzinfo=UTC).timestamp()) - 1

app = typer.Typer(help=__doc__, no_args_is_help=True)


def _folder() -> Path:
    """Return the folder of look-ups."""
    found = _common.settings().intel
    if not found:
        raise SettingsError(
            "expected SENTINEL_INTEL, the folder of look-ups (geo, feeds, benign, assets.csv), "
            "found none"
        )
    return Path(found)


@app.command()
def status(json: JsonOption = False) -> None:
    """Load all tables; count what is in them, what was left out, and say how old databases are."""
    tables, left = folder.load(_folder())
    rows: list[dict[str, Any]] = [
        {"what": f"indicators: {kind}", "count": count}
        for kind, count in tables.indicators.count.items()
    ]
    rows += [{"what": f"left out of {why}", "count": count} for why, count in sorted(left.items())]
    rows += [
        {
            "what": f"database {kind}",
            "count": built,
            "unit": "seconds since the epoch",
            "made": f"{datetime.fromtimestamp(min(built, _LAST_S), UTC):%Y-%m-%d}",
        }
        for kind, built in tables.geo.databases
    ]
    rows.append({"what": "techniques of ATT&CK", "count": len(tables.attack)})
    if json:
        _common.print_json(*rows)
    else:
        cells = ([row["what"], row.get("made", row["count"])] for row in rows)
        _common.print_table("Look-ups", ("what", "count"), cells)


@app.command()
def ask(
    values: Annotated[list[str], typer.Argument(help="Addresses, names, URLs or hashes.")],
    json: JsonOption = False,
) -> None:
    """Print what is known of values, one JSON object a value."""
    enricher = Enricher(folder.load(_folder())[0])
    for value in values:
        plain = refanged(value)
        kind = kind_of(plain)
        if not kind:
            raise SettingsError(f"expected an address, a name, a URL or a hash, found {value!r}")
        (row,) = enricher.addresses([plain]) if kind == IP else enricher.names(kind, [plain])
        _common.print_json(_object(plain, kind, row))


@app.command()
def pull(
    root: Annotated[str, typer.Argument(help="URL of the API root.")],
    collection: Annotated[str, typer.Argument(help="Id of the collection.")],
    name: Annotated[str, typer.Option(help="Name of the feed.")] = "taxii",
    json: JsonOption = False,
) -> None:
    """Fetch what is new in a TAXII 2.1 collection; SENTINEL_INTEL_TOKEN is the credential."""
    if not name.replace("-", "").replace("_", "").isalnum():
        raise SettingsError(f"expected letters, digits, - and _ as --name, found {name!r}")
    target = _folder() / "feeds" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    found = Taxii(root, collection, _common.settings().intel_token).fetch(target)
    if json:
        _common.print_json(found._asdict())
    else:
        _common.note(f"{found.objects} objects fetched; {found.indicators} indicators in {target}")


def _object(value: str, kind: str, row: Row) -> dict[str, Any]:
    place = {name: said for name, said in row.place._asdict().items() if said not in ("", None, ())}
    return {
        "value": value,
        "kind": kind,
        "weight": round(row.weight, 3),
        "matches": [match._asdict() for match in row.matches],
        "benign": list(row.benign),
        "place": place,
        "entry": row.entry._asdict() if row.entry else None,
    }
