"""``sentinel rules tune`` and ``tuned``: how one tenant has its rules and models."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentinel.cli import _client, _common
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options

LEVELS = options.SEVERITIES[1:]
COLUMNS = ("tenant", "rules", "sources", "sets", "state", "owner", "reason", "id")


def tune(
    rules: Annotated[
        list[str], typer.Argument(help="Ids of rules, correlations or models; * and ? are any.")
    ],
    reason: Annotated[str, typer.Option(help="Why it is right, for whoever finds it.")],
    tenant: options.Owner = None,
    off: Annotated[bool | None, typer.Option("--off/--on", help="Switch it off, or on.")] = None,
    staged: Annotated[
        bool | None, typer.Option("--staged/--live", help="Put it on trial, or end that.")
    ] = None,
    severity: Annotated[str | None, typer.Option(help=", ".join(LEVELS))] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score that a model needs, 0 to 1; 0.6 is 1 in 1,000.")
    ] = None,
    source: options.Sources = None,
    expires: Annotated[str | None, typer.Option(help="Time; default: never.")] = None,
    json: JsonOption = False,
) -> None:
    """Set rules and models for one tenant: off, on trial, another severity or threshold.

    It holds in some seconds, on every worker alike, for what arrives from then on. What is set
    for a tenant counts before what is set for '*', a later one before an earlier;
    `sentinel suppressions remove ID` takes it back.
    """
    if severity is not None and severity not in LEVELS:
        raise typer.BadParameter(f"expected one of {', '.join(LEVELS)}, found {severity!r}")
    said = {"disabled": off, "staged": staged, "threshold": threshold, "expires": expires}
    said["severity"] = None if severity is None else LEVELS.index(severity) + 1
    body = {
        "kind": "tuning",
        "tenant": tenant,
        "reason": reason,
        "scope": {"rules": rules, "sources": source or []},
        **{name: value for name, value in said.items() if value is not None},
    }
    with _client.connect() as client:
        made = _client.checked(client.post("/v1/suppressions", json=body)).json()
    if json:
        _common.print_json(made)
    else:
        _common.note(
            f"{_sets(made)}: {', '.join(rules)} of {made['tenant']}, from {made['starts']} on"
        )


def tuned(
    tenant: options.OnlyTenant = None,
    json: JsonOption = False,
) -> None:
    """List what tenants have set of rules and models, and what dispositions have."""
    with _client.connect() as client:
        params = {"kind": "tuning", "tenant": tenant}
        items = _client.get(client, "/v1/suppressions", params)["items"]
    if json:
        _common.print_json(*items)
        return
    none = "rules and models are as they came; `sentinel rules tune` sets them"
    _common.print_table(f"Set: {len(items)}", COLUMNS, map(_cells, items), none)


def _cells(item: dict[str, Any]) -> tuple[Any, ...]:
    scope = item["scope"]
    return (
        *(item["tenant"], ", ".join(scope["rules"]), ", ".join(scope["sources"]), _sets(item)),
        *(item["state"], item["owner"], item["reason"], item["id"]),
    )


def _sets(item: dict[str, Any]) -> str:
    """Return in words what a tuning sets."""
    words = []
    if item["disabled"] is not None:
        words.append("off" if item["disabled"] else "on")
    if item["staged"] is not None:
        words.append("on trial" if item["staged"] else "live")
    if item["severity"] is not None:
        words.append(LEVELS[item["severity"] - 1])
    if item["threshold"] is not None:
        words.append(f"threshold {item['threshold']:g}")
    return ", ".join(words)
