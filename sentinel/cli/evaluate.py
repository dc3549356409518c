"""Measure detection: NAB, anomaly benchmarks, attack logs, quiet days, Sigma rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options
from sentinel.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help=__doc__)
Data = Annotated[list[Path], typer.Argument(help="Files or folders of the data.")]
RulesOption = Annotated[
    list[Path] | None, typer.Option(help="More directories of Sigma rules, besides our own.")
]


@app.command()
def nab(data: Data, json: JsonOption = False) -> None:
    """Score the Numenta Anomaly Benchmark: official windows, profiles, one threshold for all."""
    from detectors.evaluate import nab as benchmark

    for folder in data:
        report = benchmark.evaluate(folder)
        if json:
            _common.print_json(report)
            continue
        rows = [
            (name, found["score"], found["split"]["score"], found["threshold"], _best(found))
            for name, found in report["profiles"].items()
        ]
        title = f"{report['series']} series, {report['windows']} windows"
        columns = ("profile", "score", "split", "threshold", "published (58 series)")
        _common.print_table(title, columns, rows)
    _common.note("split: threshold chosen on every other series, scored on the rest, both ways")


def _best(found: Mapping[str, Any]) -> str:
    """Return the best figures published, in words."""
    names = list(found["published"].items())[:3]
    return ", ".join(f"{name} {score}" for name, score in names)


@app.command()
def anomaly(
    data: Data,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds to take the mean over.")] = 5,
    json: JsonOption = False,
) -> None:
    """Score ADBench .npz files and KDD rows in file order, each row before learning from it."""
    from detectors.evaluate import points

    _exist(data)
    report = points.evaluate(data, range(seeds))
    if json:
        _common.print_json(report)
        return
    columns = ("set", "rows", "ensemble AUROC", "AP", "half-space trees", "scikit-learn offline")
    rows = [
        (
            *(name, found["rows"]),
            f"{found['ensemble']['auroc']} ±{found['ensemble']['auroc_deviation']}",
            found["ensemble"]["ap"],
            found["half_space_trees"]["auroc"],
            found["scikit_learn_offline"]["auroc"],
            _published(found),
        )
        for name, found in report["sets"].items()
    ]
    title = f"Means over {seeds} seeds; {report['order']}"
    _common.print_table(title, (*columns, "published"), rows)


def _published(found: Mapping[str, Any]) -> str:
    forest = found["published"]["isolation_forest_offline_auroc"]
    river = found["published"]["river_half_space_trees_auroc_ap"]
    parts = [f"offline forest {forest}"] if forest else []
    return ", ".join(parts + ([f"river trees {river[0]}"] if river else []))


@app.command()
def attacks(
    data: Data,
    background: Annotated[
        list[str] | None, typer.Option(help="Logs of ordinary days, learnt first.")
    ] = None,
    attacker: Annotated[
        list[str] | None,
        typer.Option(help="Entities whose events are the attack; else a file is a technique."),
    ] = None,
    source: Annotated[
        str, typer.Option(help="What wrote them; host traces: auditd, falco, osquery, syslog.")
    ] = "cloudtrail",
    rules: RulesOption = None,
    json: JsonOption = False,
) -> None:
    """Run attack logs through rules and models: what is found, how high, how many alerts a day.

    Without ``--attacker`` every file is one attack technique, named after it. With it, all files
    are one stream in order of time, in which the events of those entities are to be found.
    """
    from sentinel.cli._evaluation.attacks import Run

    _exist(data)
    run = Run(rules or [], background or [], source)
    report = run.entities(data, attacker) if attacker else run.techniques(data)
    if json:
        _common.print_json(report)
        return
    rows = [(each["technique"], each["events"], _found(each)) for each in report["techniques"]]
    if rows:
        _common.print_table("Techniques", ("technique", "events", "found by"), rows)
    _common.print_table("Attacks", ("figure", "value"), list(report["summary"].items()))


def _found(technique: Mapping[str, Any]) -> str:
    names = [technique["titles"][ident] for ident in technique["rules"] + technique["models"]]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or (
        technique["reason"] or "-"
    )


@app.command()
def quiet(
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Logs of ordinary days; none: an account is simulated, unattacked."),
    ] = None,
    source: options.Source = "cloudtrail",
    days: Annotated[float, typer.Option(min=1, help="Days to simulate.")] = 9,
    a_day: Annotated[float, typer.Option(min=100, help="Events a day to simulate.")] = 5000,
    seeds: Annotated[int, typer.Option(min=1, help="Simulations.")] = 3,
    json: JsonOption = False,
) -> None:
    """Count the alerts a day on ordinary events: all rules, models, correlations and risk.

    The first 10,000 events are the learning time, in which alerts say that models are cold; it
    is counted apart.
    """
    from sentinel.cli._evaluation.quiet import FIRST_SEED, Quiet

    _exist(data or [])
    account = Quiet(source)
    runs = (
        [account.files(data)]
        if data
        else [account.simulated(FIRST_SEED + seed, days, a_day) for seed in range(seeds)]
    )
    if json:
        _common.print_json({"benchmark": "quiet", "source": source, "runs": runs})
        return
    names = ("events", "days", "events_a_day", "alerts_a_day_learning", "alerts_a_day")
    rest = ("most_on_a_day", "alerts_in_5000_events")
    rows = [tuple(found[name] for name in (*names, *rest)) for found in runs]
    columns = ("events", "days", "events a day", "alerts a day, learning", "alerts a day after")
    _common.print_table("Quiet days", (*columns, "most on a day", "in 5,000 events"), rows)
    total = sum((Counter(found["by"]) for found in runs), Counter[str]())
    _common.print_table("Alerts after the learning time", ("what", "alerts"), total.most_common())


@app.command()
def sigma(data: Data, rules: RulesOption = None, json: JsonOption = False) -> None:
    """Run Sigma regression data: folders with info.yml and the events a rule must match."""
    from sentinel.cli._evaluation import regression

    _exist(data)
    report = regression.evaluate(data, rules or [])
    if json:
        _common.print_json(report)
        return
    _common.print_table("Sigma regression", ("figure", "value"), list(report["summary"].items()))
    for each in report["failures"][:20]:
        _common.note(f"{each['test']}: {each['reason']}")


def _exist(paths: list[Path]) -> None:
    """Refuse paths that are not there, before anything long begins."""
    for path in paths:
        if not path.exists():
            raise SettingsError(f"expected data at {path}, found nothing")
