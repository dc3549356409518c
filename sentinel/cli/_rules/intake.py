"""``sentinel rules import`` and ``promote``: rules from elsewhere, on trial or at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from detectors.intake.files import BASE, apply, read_source, read_target, write
from detectors.intake.merge import CONFLICT, UNCHANGED, WHAT, ids, is_staged, plan, unstage
from detectors.sigma import RuleSet
from sentinel.cli import _common
from sentinel.cli._common import JsonOption
from sentinel.errors import RuleError


def import_rules(
    source: Annotated[Path, typer.Argument(help="A folder, zip or tar of Sigma rules.")],
    into: Annotated[
        Path | None,
        typer.Option(help="Where to; default: the first of SENTINEL_RULES, else below the home."),
    ] = None,
    under: Annotated[str, typer.Option(help="Only this folder within the source.")] = "",
    staged: Annotated[
        bool, typer.Option("--staged", help="Put new rules on trial: their alerts notify no one.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Import rules; what was edited here is kept or merged. Running workers take them at once.

    Changed on both sides in different lines: merged. In the same lines: a conflict, left as it is
    here; the status is then 1.
    """
    settings = _common.settings()
    target = into or (settings.rule_dirs or (settings.imported_rules,))[0]
    mine, base = read_target(target)
    changes = plan(read_source(source, under), mine, base, staged=staged)
    if not dry_run:
        apply(target, changes)
    rows = [{"path": each.path, "what": each.what, "reason": each.reason} for each in changes]
    if json:
        _common.print_json(*rows)
    else:
        shown = sorted(rows, key=lambda row: WHAT.index(row["what"]))
        for row in shown:
            if row["what"] != UNCHANGED:
                reason = f" ({row['reason']})" if row["reason"] else ""
                typer.echo(f"{row['what']:<9} {row['path']}{reason}")
    counts = Counter(row["what"] for row in rows)
    done = ", ".join(f"{counts[what]} {what}" for what in WHAT if counts[what])
    _common.note(f"{target}: {done}" + ("; nothing was written" if dry_run else ""))
    if not dry_run:
        _say_idle(target)
    if counts[CONFLICT]:
        raise RuleError(
            f"expected no conflicts, found {counts[CONFLICT]}; edit these files by hand to what "
            "they should be, or delete them here to take the others'"
        )


def _say_idle(target: Path) -> None:
    """Say how many of the rules there cannot run."""
    loaded = RuleSet.load([target])
    if loaded.unsupported:
        _common.note(
            f"{len(loaded.rules)} rules run, {len(loaded.unsupported)} do not: "
            f"`sentinel rules check {target}` says why"
        )


def promote(
    rules: Annotated[
        list[str] | None, typer.Argument(help="Ids of rules on trial, or their files.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are on trial.")] = False,
    json: JsonOption = False,
) -> None:
    """End the trial of rules: their alerts are new from now on, and notify."""
    if bool(rules) == every:
        found = "both" if rules else "neither"
        raise RuleError(f"expected either rules or --all, found {found}")
    trials = list(_staged(_common.settings().rule_dirs))
    wanted = set(rules or ())
    chosen = [
        (path, text)
        for path, text in trials
        if every or wanted & {*ids(text), str(path), path.name}
    ]
    known = {name for path, text in chosen for name in (*ids(text), str(path), path.name)}
    if missing := sorted(wanted - known):
        raise RuleError(
            f"expected rules on trial, {missing[0]!r} is none; `sentinel rules list --staged` has "
            "them"
        )
    done: list[dict[str, Any]] = []
    for path, text in chosen:
        write(path, unstage(text))
        done.append({"path": str(path), "ids": ids(text)})
    if json:
        _common.print_json(*done)
    _common.note(f"{len(done)} files of rules promoted")


def _staged(dirs: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    for root in dirs:
        for path in sorted(root.rglob("*.y*ml")):
            if BASE not in path.parts and path.is_file():
                text = path.read_bytes().decode("utf-8", "replace")
                if is_staged(text):
                    yield path, text
