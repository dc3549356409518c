"""Sigma's filters: conditions that are added to rules without touching their files.

A filter names rules, by id or name, or ``any``, and a log source; to the condition of each of
them that is for this log source, its own is added with ``and``.

Source: Sigma specification 2.1, Sigma Filters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from detectors.engine import condition as c


class Source(Protocol):
    """What is known of a source's events; `connectors.base.LogSource` is one."""

    @property
    def product(self) -> str:
        """Sigma product, or ""."""

    @property
    def category(self) -> str:
        """Sigma category, or ""."""

    @property
    def service(self) -> str:
        """Sigma service, or ""."""


def fits(wanted: c.LogSource, source: Source) -> bool:
    """Say whether all that is stated of a wanted log source is so of another."""
    return (
        wanted.product in ("", source.product)
        and wanted.category in ("", source.category)
        and wanted.service in ("", source.service)
    )


def filtered(
    rules: Iterable[c.Rule], filters: Sequence[c.Filter]
) -> tuple[list[c.Rule], list[tuple[c.Filter, str]]]:
    """Return the rules with the filters applied, and which filters do not do all they say.

    In the order of `filters`, each with the reason.
    """
    kept = list(rules)
    idle = []
    for each in filters:
        meant = [at for at, rule in enumerate(kept) if _means(each, rule)]
        chosen = [at for at in meant if fits(each.logsource, kept[at].logsource)]
        for at in chosen:
            kept[at] = _with(kept[at], each)
        named = {name for at in meant for name in (kept[at].id, kept[at].name)}
        unknown = [name for name in each.rules if name not in named]
        if unknown:
            idle.append((each, f"it names {', '.join(unknown)}, which is no rule loaded"))
        elif not chosen:
            idle.append((each, "no rule that it names is for its log source"))
    return kept, idle


def _means(each: c.Filter, rule: c.Rule) -> bool:
    return not each.rules or rule.id in each.rules or (rule.name in each.rules and rule.name != "")


def _with(rule: c.Rule, each: c.Filter) -> c.Rule:
    return msgspec.structs.replace(
        rule,
        condition=f"({rule.condition}) and ({each.condition})",
        node=c.All((rule.node, each.node)),
    )
