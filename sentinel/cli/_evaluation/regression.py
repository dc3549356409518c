"""Sigma's regression data: for each rule, events that it must match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml

from connectors._json.decoder import texts
from detectors.match import Matcher, dict_getter
from detectors.sigma import RuleSet
from sentinel.cli import _common
from sentinel.errors import SettingsError
from streams.policy.rule_sets import own_rules

INFO = "info.yml"


class _Event(dict[str, Any]):
    """A decoded object and its text."""

    raw: bytes


def evaluate(data: Sequence[Path], rules: Sequence[Path]) -> dict[str, Any]:
    """Run every test found: a folder with ``info.yml`` that names rules, and JSON events.

    Raises
    ------
    SettingsError
        There is no such folder.
    """
    cache = _common.settings().home / "cache"
    loaded = {rule.id: rule for rule in RuleSet.load([own_rules(), *rules], cache=cache).rules}
    tests = sorted({path.parent for root in data for path in root.rglob(INFO)})
    if not tests:
        raise SettingsError(f"expected folders with {INFO} in {', '.join(map(str, data))}")
    passed, failures, skipped = 0, [], 0
    for folder in tests:
        reason = _run(folder, loaded)
        if reason is None:
            passed += 1
        elif reason.startswith("no events"):
            skipped += 1
        else:
            failures.append({"test": str(folder), "reason": reason})
    summary = {
        "tests": len(tests),
        "passed": passed,
        "failed": len(failures),
        "without events in JSON": skipped,
    }
    return {"benchmark": "sigma", "summary": summary, "failures": failures}


def _run(folder: Path, loaded: dict[str, Any]) -> str | None:
    """Return why a test fails, None where it passes."""
    try:
        info = yaml.safe_load((folder / INFO).read_bytes()) or {}
        events = [event for path in sorted(folder.rglob("*.json*")) for event in _events(path)]
    except (yaml.YAMLError, ValueError, OSError) as error:
        return f"cannot be read: {error}"
    if not events:
        return "no events in JSON"
    wanted = {str(each.get("id")) for each in info.get("rule_metadata") or [] if each}
    missing = wanted - set(loaded)
    if missing or not wanted:
        return f"rule {', '.join(sorted(missing)) or '(none named)'} is not loaded"
    matcher = Matcher(
        [loaded[ident] for ident in sorted(wanted)], dict_getter, _text, raw=lambda e: e.raw
    )
    found = {rule.id for _, rule in matcher.match(events)}
    silent = wanted - found
    return f"rule {', '.join(sorted(silent))} matched nothing" if silent else None


def _events(path: Path) -> Iterator[_Event]:
    """Yield the objects of a file: one, a list, or one a line."""
    content = path.read_bytes()
    try:
        read = orjson.loads(content)
    except ValueError:
        read = [orjson.loads(line) for line in content.splitlines() if line.strip()]
    for each in read if isinstance(read, list) else [read]:
        if isinstance(each, dict):
            event = _Event(each)
            event.raw = orjson.dumps(each)
            yield event


def _text(event: _Event) -> str:
    return "\n".join(texts(event.raw))
