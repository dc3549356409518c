"""List, check, test and import Sigma rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from msgspec import structs

import connectors
import detectors.rules
from connectors.base import Connector
from detectors.cases import Case, case_file, load_cases
from detectors.sigma import Rule, RuleSet
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.cli._firing import doubts
from sentinel.cli._intake import import_rules, promote
from sentinel.errors import RecordError, RuleError
from sentinel.registry import discover

app = typer.Typer(help=__doc__, no_args_is_help=True)
app.command("import")(import_rules)
app.command("promote")(promote)

#: Sentinel's own rules.
OWN = Path(detectors.rules.__path__[0])

#: Their cases, in a checkout.
CASES = OWN.parent.parent / "tests" / "detectors" / "rules"

LEVELS = ("", "informational", "low", "medium", "high", "critical")

Dirs = Annotated[list[Path] | None, typer.Argument(help="Rule directories; none: those in use.")]


@app.command("list")
def list_rules(
    dirs: Dirs = None,
    staged: Annotated[bool, typer.Option("--staged", help="Only those that are on trial.")] = False,
    json: JsonOption = False,
) -> None:
    """List the rules in use, or those in DIRS."""
    rows = [_row(rule) for rule in _load(dirs).rules if rule.staged or not staged]
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
    json: JsonOption = False,
) -> None:
    """Name what cannot be run, with file, line and reason; fail if any of our own cannot."""
    ruleset = _load(dirs)
    idle = list(doubts(ruleset.rules))
    rows = [structs.asdict(each) for each in ruleset.unsupported]
    rows += [each._asdict() for each in idle if firing]
    if json:
        _common.print_json(*rows)
    else:
        for row in rows:
            typer.echo(f"{row['path']}:{row['line']}: {row['reason']}")
    done = f"{len(ruleset.rules)} rules run, {len(ruleset.unsupported)} do not"
    if idle:
        more = "" if firing else "; --firing names them"
        done += f"; {len(idle)} of them can hardly fire here, for want of a source or field{more}"
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


class Outcome(NamedTuple):
    """What became of a case; `problem` is empty where it went as it should."""

    rule: str
    case: str
    problem: str


def run_cases(rules: Path, cases: Path) -> Iterator[Outcome]:
    """Run the cases of every rule below `rules` through the source's own connector."""
    ruleset = RuleSet.load([rules])
    for each in ruleset.unsupported:
        yield Outcome(each.path, "", each.reason)
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    sources = [connector() for connector in found.values()]
    for rule in ruleset.rules:
        name = str(Path(rule.path).relative_to(rules))
        try:
            loaded = load_cases(case_file(rule, rules, cases))
            bench = _Bench(rule, sources)
        except RuleError as error:
            yield Outcome(name, "", str(error))
            continue
        for case in loaded:
            yield Outcome(name, case.name, bench.problem(case))


class _Bench:
    """One rule, and the decoder of the source that it is for."""

    def __init__(self, rule: Rule, sources: list[Connector]) -> None:
        fitting = [
            (source, selected)
            for source in sources
            if (selected := RuleSet([rule]).select(source.logsources)).rules
        ]
        if not fitting:
            raise RuleError(f"no source has events of the log source {'/'.join(rule.logsource)}")
        self.source, selected = fitting[0]
        self.decoder = self.source.decoder(selected.rules[0].fields)
        self.matcher = selected.reading(self.decoder)

    def problem(self, case: Case) -> str:
        """Run a case; return what is wrong, or ""."""
        try:
            events = [self.decoder.decode(raw) for raw in self._events(case.data)]
        except RecordError as error:
            return f"the source refuses the event: {error.detail}"
        matched = bool(self.matcher.match(events))
        for _, _, failure in self.matcher.errors:
            return f"the rule failed: {type(failure).__name__}: {failure}"
        if matched == case.match:
            return ""
        return "expected a match, found none" if case.match else "expected no match, found one"

    def _events(self, data: bytes) -> list[bytes]:
        units = list(self.source.split(data))
        assembler = self.source.assembler()
        return units if assembler is None else [*assembler.feed(units, 0), *assembler.flush()]


def _load(dirs: list[Path] | None) -> RuleSet:
    settings = _common.settings()
    chosen = dirs or [OWN, *settings.rule_dirs]
    return RuleSet.load(chosen, cache=settings.home / "cache")


def _row(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": LEVELS[rule.severity_id],
        "logsource": {key: value for key, value in rule.logsource._asdict().items() if value},
        "techniques": rule.techniques,
        "staged": rule.staged,
        "path": rule.path,
    }


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "/".join(value.values())
    return ", ".join(value) if isinstance(value, tuple) else str(value)
