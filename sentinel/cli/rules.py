"""List, check, test and import Sigma rules; set them and models for one tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import structs

import detectors.rules
from detectors.correlation.plan import counted
from detectors.correlation.rules import Correlation
from detectors.sigma import Rule, RuleSet
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options
from sentinel.cli._rules.cases import run_cases
from sentinel.cli._rules.firing import doubts
from sentinel.cli._rules.intake import import_rules, promote
from sentinel.cli._rules.seen import Seen
from sentinel.cli._rules.tune import tune, tuned
from sentinel.errors import RuleError
from streams.policy.known import asks

app = typer.Typer(help=__doc__, no_args_is_help=True)
app.command("import")(import_rules)
app.command("promote")(promote)
app.command("tune")(tune)
app.command("tuned")(tuned)

#: Sentinel's own rules.
OWN = Path(detectors.rules.__path__[0])

#: Their cases, in a checkout.
CASES = OWN.parent.parent / "tests" / "detectors" / "rules"


Dirs = Annotated[list[Path] | None, typer.Argument(help="Rule directories; none: those in use.")]


@app.command("list")
def list_rules(
    dirs: Dirs = None,
    staged: Annotated[bool, typer.Option("--staged", help="Only those that are on trial.")] = False,
    json: JsonOption = False,
) -> None:
    """List the rules in use, or those in DIRS."""
    loaded = _load(dirs)
    found: list[Rule | Correlation] = [*loaded.rules, *loaded.plan.correlations]
    rows = [_row(rule) for rule in found if rule.staged or not staged]
    if json:
        _common.print_json(*rows)
        return
    columns = ("id", "title", "severity", "logsource", "techniques", "path")
    _common.print_table(
        f"{len(rows)} rules", columns, ([_cell(row[name]) for name in columns] for row in rows)
    )


@app.command("check")
def check_rules(
    dirs: Dirs = None,
    firing: Annotated[
        bool, typer.Option("--firing", help="Also name the rules that can never fire here.")
    ] = False,
    seen: Annotated[
        str, typer.Option(help="Judge that by the events stored since, such as 7d; implies it.")
    ] = "",
    tenant: Annotated[str | None, typer.Option(help="With --seen: by those of one tenant.")] = None,
    json: JsonOption = False,
) -> None:
    """Name what cannot be run, with file, line and reason; fail if any of our own cannot."""
    ruleset = _load(dirs)
    stored = Seen(seen, tenant) if seen else None
    firing = firing or bool(stored)
    idle = list(doubts(ruleset.rules, stored, stored.words) if stored else doubts(ruleset.rules))
    rows = [structs.asdict(each) for each in ruleset.unsupported]
    rows += [each._asdict() for each in idle if firing]
    if json:
        _common.print_json(*rows)
    else:
        for row in rows:
            typer.echo(f"{row['path']}:{row['line']}: {row['reason']}")
    done = f"{len(ruleset.rules)} rules run, {len(ruleset.unsupported)} do not"
    if ruleset.plan.correlations:
        done += f"; correlations: {counted(ruleset.plan.correlations)}"
    if idle:
        more = "" if firing else "; --firing names them"
        done += f"; {len(idle)} of them can hardly fire here, for want of a source or field{more}"
    asking = sum(asks(rule.fields) for rule in ruleset.rules)
    if asking and not _common.settings().intel:
        done += f"; {asking} ask look-ups, and SENTINEL_INTEL names none"
    _common.note(done)
    own = [each.path for each in ruleset.unsupported if Path(each.path).is_relative_to(OWN)]
    if own:
        raise RuleError(
            f"expected every rule of Sentinel's own to run, {len(own)} do not: {own[0]}"
        )


@app.command("test")
def check_cases(
    dirs: Dirs = None,
    cases: Annotated[
        Path, typer.Option(help="Where the cases are, in folders like the rules.")
    ] = CASES,
    json: JsonOption = False,
) -> None:
    """Run the cases beside each rule: events it must match, and events it nearly does."""
    outcomes = [each for root in dirs or [OWN] for each in run_cases(root, cases)]
    failed = [each for each in outcomes if each.problem]
    if json:
        _common.print_json(*(each._asdict() for each in outcomes))
    else:
        for each in failed:
            typer.echo(f"{each.rule}: {each.case}: {each.problem}")
    _common.note(f"{len(outcomes)} cases run, {len(failed)} failed")
    if failed or not outcomes:
        raise RuleError(f"expected every case to pass, {len(failed)} of {len(outcomes)} failed")


def _load(dirs: list[Path] | None) -> RuleSet:
    settings = _common.settings()
    chosen = dirs or [OWN, *settings.rule_dirs]
    return RuleSet.load(chosen, cache=settings.home / "cache")


def _row(rule: Rule | Correlation) -> dict[str, Any]:
    if isinstance(rule, Rule):
        source = {key: value for key, value in rule.logsource._asdict().items() if value}
    else:
        source = {"correlation": rule.kind}
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": options.SEVERITIES[rule.severity_id],
        "logsource": source,
        "techniques": rule.techniques,
        "staged": rule.staged,
        "path": rule.path,
    }


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "/".join(value.values())
    return ", ".join(value) if isinstance(value, tuple) else str(value)
