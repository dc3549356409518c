"""Options that many commands have: one name, one help text and one completion each.

A listing takes the options it needs from here, so that what a person learnt with one command
holds for the others; ``tests/sentinel/cli/test_conventions.py`` walks all commands and says
which differs. Completions read files and know no network: pressing TAB is never slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

import typer

from sentinel.errors import SettingsError

#: By OCSF ``severity_id``, as the API names them.
SEVERITIES = ("", "informational", "low", "medium", "high", "critical")
#: What completes the beginning of a word.
Complete = Callable[[str], Iterable[str]]


def among(*words: str) -> Complete:
    """Return what completes one of some words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def sources(incomplete: str) -> list[str]:
    """Complete the name of a source: a connector, or a mapping file of SENTINEL_MAPPINGS."""
    import pkgutil
    from pathlib import Path

    import connectors
    from sentinel import settings

    names = [each.name for each in pkgutil.iter_modules(connectors.__path__) if not each.ispkg]
    if mapped := settings.load().mappings:
        names += [path.stem for path in Path(mapped).glob("*.yml")]
    return sorted(
        name
        for name in names
        if name.startswith(incomplete) and not name.startswith("_") and name != "base"
    )


def rules(incomplete: str) -> list[tuple[str, str]]:
    """Complete the id of one of our rules, with its title."""
    import re
    from pathlib import Path

    import detectors.rules

    found = []
    for path in Path(detectors.rules.__path__[0]).rglob("*.yml"):
        text = path.read_text()
        titles = re.findall(r"^title: *(.+)$", text, re.MULTILINE)
        ids = re.findall(r"^id: *(\S+)$", text, re.MULTILINE)
        found += [pair for pair in zip(ids, titles, strict=False) if pair[0].startswith(incomplete)]
    return sorted(found)


STATUSES = ("new", "triaged", "in_progress", "resolved", "false_positive", "suppressed", "staged")

Since = Annotated[str | None, typer.Option(
    "--since", "--from", help="From this time on: RFC 3339, or a span back from now such as 12h.",
)]  # fmt: skip
Until = Annotated[str | None, typer.Option("--until", "--to", help="Before this time, as --since.")]
Query = Annotated[str | None, typer.Option(
    "--query", "-q", help="Search, such as 'user:alice AND NOT severity:low AND time>now-24h'.",
)]  # fmt: skip
#: Which rows are listed, of those that the key may see.
OnlyTenant = Annotated[str | None, typer.Option(
    "--tenant", help="Only of this tenant; default: all that your key may see.",
)]  # fmt: skip
#: Whose data is read or sent, where no API stands between that knows whose key it is.
Tenant = Annotated[str, typer.Option("--tenant", help="Tenant whose data it is.")]
#: Whose something is that is made or changed through the API.
Owner = Annotated[str | None, typer.Option(
    "--tenant", help="Whose, '*': every tenant's; default: your key's, or 'default'.",
)]  # fmt: skip
ONLY_SOURCE = typer.Option(
    "--source", help="Only of this source, such as cloudtrail.", autocompletion=sources
)
OnlySource = Annotated[str | None, ONLY_SOURCE]
#: The source that something is read as, or belongs to.
Source = Annotated[str, typer.Option(
    "--source", help="Name of the source, such as cloudtrail.", autocompletion=sources,
)]  # fmt: skip
Sources = Annotated[list[str] | None, typer.Option(
    "--source", help="Of this source, such as cloudtrail; repeat it.", autocompletion=sources,
)]  # fmt: skip
Entity = Annotated[str | None, typer.Option("--entity", help="Who did it, in full.")]
MinSeverity = Annotated[str | None, typer.Option(
    "--min-severity", help="This or worse.", autocompletion=among(*SEVERITIES[1:]),
)]  # fmt: skip
Status = Annotated[str | None, typer.Option(
    "--status", help=f"Such as {STATUSES[0]}, {STATUSES[2]} or {STATUSES[3]}.",
    autocompletion=among(*STATUSES),
)]  # fmt: skip
Rule = Annotated[str | None, typer.Option(
    "--rule", help="Id of the rule or model.", autocompletion=rules,
)]  # fmt: skip
Limit = Annotated[int | None, typer.Option(
    "--limit", min=1, help="Most rows; default: all as JSON, 50 on a screen.",
)]  # fmt: skip


def severity(given: str | None, *more: str) -> str | None:
    """Return a severity as the API takes it: one of `SEVERITIES`, or of `more`.

    Raises
    ------
    SettingsError
        It is none.
    """
    known = (*SEVERITIES[1:], *more)
    if given is not None and given.lower() not in known:
        raise SettingsError(f"expected a severity among {', '.join(known)}, found {given!r}")
    return given and given.lower()
