"""Train models on stored events, compare, promote and roll back; seed the online ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options

app = typer.Typer(no_args_is_help=True, help=__doc__)
Paths = Annotated[
    list[str] | None, typer.Argument(help="Files or folders; default: what PostgreSQL stores.")
]
KindOption = Annotated[str, typer.Option(help="isolation_forest, one_class_svm or autoencoder.")]
FromOption = Annotated[
    str,
    typer.Option(
        "--from", "--since", help="With stored events: since then, or a span such as 14d."
    ),
]
Reason = Annotated[str, typer.Option(help="Why it is right, for the audit log.")]

_STREAM = "every worker scores with it in some seconds"


def _models(tenant: str, source: str) -> Any:
    from sentinel.cli._changes.models import Models

    return Models(tenant, source)


@app.command()
def train(
    source: options.Source,
    paths: Paths = None,
    kind: KindOption = "isolation_forest",
    contamination: Annotated[
        float, typer.Option(help="Share of the events taken to be odd, up to 0.5.")
    ] = 0.1,
    since: FromOption = "14d",
    tenant: options.Tenant = "default",
    seed: Annotated[int, typer.Option(help="Of what is random about it.")] = 42,
    json: JsonOption = False,
) -> None:
    """Train a new version, measured on the latest fifth of the events; promote it yourself.

    Stored events of alerts that people found right (true_positive) are left out: an attack is
    not to become usual. PostgreSQL keeps the version, so the stack must be up.
    """
    from detectors.batch_models.train import points_of
    from detectors.batch_models.train import train as run
    from sentinel.cli import _stored

    models = _models(tenant, source)
    found = _stored.batches(source, tenant, paths or (), since, attacks=False)
    points = points_of(batch for _, batch in found)
    version = run(points, kind, contamination, seed, models.live(kind))
    number = models.add(version)
    if json:
        _common.print_json(version.about | {"version": number})
        return
    about = version.about
    rows = [("version", number), ("events", about["events"]), *about["metrics"].items()]
    rows += [
        (f"live: {name}", value) for name, value in (about["compared_with_live"] or {}).items()
    ]
    _common.print_table(f"{kind} of {source}", ("figure", "value"), rows)
    _common.note(f"sentinel models promote {number} --source {source} --kind {kind} --reason 'why'")


@app.command(name="list")
def show(
    source: options.Source, tenant: options.Tenant = "default", json: JsonOption = False
) -> None:
    """List the versions: what they learnt from, how they did, which are live."""
    rows = _models(tenant, source).versions()
    if json:
        _common.print_json(*rows)
        return
    columns = ("kind", "version", "live", "events", "from", "to", "flagged", "like the live one")
    _common.print_table("Models", columns, map(_row, rows))


def _row(about: dict[str, Any]) -> tuple[Any, ...]:
    alike = about["compared_with_live"] or {}
    return (
        *(about["kind"], about["version"], "live" if about["live"] else "", about["events"]),
        *(_day(about["from"]), _day(about["to"])),
        *(about["metrics"].get("flagged_share"), alike.get("rank_correlation")),
    )


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="Number of the version.")],
    source: options.Source,
    reason: Reason,
    kind: KindOption = "isolation_forest",
    tenant: options.Tenant = "default",
) -> None:
    """Make a version the live one: workers score what arrives with it, a few seconds on.

    What it says is an alert of ``model.batch.<kind>``, by the threshold of all models, or by that
    of `sentinel rules tune model.batch.<kind> --threshold`. The audit log has who did so and why.
    """
    before = _models(tenant, source).promote(kind, version, reason)
    _common.note(
        f"{kind} of {source}: version {version} is live, before it {before or 'none'}; {_STREAM}"
    )


@app.command()
def rollback(
    source: options.Source,
    reason: Reason,
    kind: KindOption = "isolation_forest",
    tenant: options.Tenant = "default",
) -> None:
    """Make the version live that was before; the audit log has who did so and why."""
    version = _models(tenant, source).rollback(kind, reason)
    _common.note(f"{kind} of {source}: version {version} is live again; {_STREAM}")


@app.command()
def compare(
    version: Annotated[int, typer.Argument(help="Number of the challenger.")],
    source: options.Source,
    paths: Paths = None,
    kind: KindOption = "isolation_forest",
    since: FromOption = "14d",
    tenant: options.Tenant = "default",
    json: JsonOption = False,
) -> None:
    """Compare a version with the live one on events later than any that either learnt from."""
    from detectors.batch_models.train import compare as run
    from detectors.batch_models.train import measure, points_of
    from sentinel.cli import _stored
    from sentinel.errors import SettingsError

    models = _models(tenant, source)
    live, challenger = models.live(kind), models.load(kind, version)
    if live is None:
        raise SettingsError(
            f"expected a live {kind} of {source}, found none; `sentinel models promote` makes a "
            "version live"
        )
    if challenger is None:
        raise SettingsError(
            f"expected a version of {kind} of {source}, found none of the number {version}; "
            "`sentinel models list` shows them"
        )
    rows = models.versions(kind)
    last = max(row["to"] for row in rows if row["live"] or row["version"] == version)
    points = points_of(b for _, b in _stored.batches(source, tenant, paths or (), since))
    held = points.x[points.time > last]
    if len(held) < 2:
        raise SettingsError(f"expected events later than {_day(last)} UTC, found none")
    found = {"held_back": len(held), **(run(challenger, live, held) or {})}
    found |= {f"{name}_live": value for name, value in measure(live, held).items()}
    found |= measure(challenger, held)
    if json:
        _common.print_json(found)
        return
    title = f"Version {version} against the live one, after {_day(last)} UTC"
    _common.print_table(title, ("figure", "value"), list(found.items()))


@app.command()
def score(
    source: options.Source,
    paths: Paths = None,
    kind: KindOption = "isolation_forest",
    since: FromOption = "1d",
    tenant: options.Tenant = "default",
    limit: Annotated[int, typer.Option(min=1, help="Most events shown.")] = 20,
    json: JsonOption = False,
) -> None:
    """Score events with the live version; print the oddest first."""
    import numpy as np

    from detectors.batch_models.train import points_of
    from sentinel.cli import _stored
    from sentinel.errors import SettingsError

    live = _models(tenant, source).live(kind)
    if live is None:
        raise SettingsError(f"expected a live {kind} of {source}: train and promote one first")
    batches = [batch for _, batch in _stored.batches(source, tenant, paths or (), since)]
    scored = live.score(points_of(batches).x)
    places = [(batch, row) for batch in batches for row in range(len(batch))]
    columns = ("anomaly", "flagged", "time", "entity", "operation", "src_ip")
    rows = [
        (
            *(round(float(scored.anomaly[at]), 3), bool(scored.flagged[at])),
            *(_day(int(batch.time[row])), batch.entity.at(row)),
            *(batch.operation.at(row), batch.src_ip.at(row)),
        )
        for at in np.argsort(-scored.anomaly, kind="stable")[:limit].tolist()
        for batch, row in [places[at]]
    ]
    if json:
        _common.print_json(*(dict(zip(columns, row, strict=True)) for row in rows))
        return
    _common.print_table(f"Oddest of {len(places)} events, by {kind}", columns, rows)


@app.command()
def seed(
    source: options.Source,
    paths: Paths = None,
    since: FromOption = "14d",
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of the topic events.")] = 1,
    tenant: options.Tenant = "default",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the seeds; default: seeds in SENTINEL_HOME.")
    ] = None,
) -> None:
    """Let the online models learn from history: the state is as if it had been streamed.

    Workers that share SENTINEL_HOME take the seed up where a partition has no checkpoint yet,
    that is at the first start. Alerts on the past are not raised.
    """
    from sentinel.cli import _stored
    from streams.policy.seeds import seeded

    folder = out or _common.settings().home / "seeds"
    found = _stored.batches(source, tenant, paths or (), since, partitions)
    counts = seeded(folder, found, partitions, _common.settings())
    total = sum(counts.values())
    _common.note(f"{total} events learnt in {len(counts)} of {partitions} partitions: {folder}")
