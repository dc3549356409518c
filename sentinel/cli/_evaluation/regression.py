"""Sigma's regression data: for each rule, events that it must match, and how many of them.

The layout is that of SigmaHQ: a folder for each rule with ``info.yml``, whose ``rule_metadata``
names the rule and whose ``regression_tests_info`` says how many events of a file match
(``match_count``; at least one where it says nothing). EVTX files cannot be read: the JSON beside
one has the same events.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml

from connectors._json.decoder import texts
from detectors.match import Matcher, dict_getter
from detectors.sigma import RuleSet
from sentinel.cli import _common
from sentinel.cli._evaluation.windows import flat, is_windows
from sentinel.errors import SettingsError
from streams.policy.rule_sets import own_rules

INFO = "info.yml"
NOT_LOADED = "is not loaded"


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
    passed, failures, skipped, absent = 0, [], 0, 0
    for folder in tests:
        reason = _run(folder, loaded)
        if reason is None:
            passed += 1
        elif reason.startswith("no events"):
            skipped += 1
        elif reason.endswith(NOT_LOADED):
            absent += 1
        else:
            failures.append({"test": str(folder), "reason": reason})
    summary = {
        "tests": len(tests),
        "passed": passed,
        "failed": len(failures),
        "without events in JSON": skipped,
        "of rules that are not loaded": absent,
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
        return f"rule {', '.join(sorted(missing)) or '(none named)'} {NOT_LOADED}"
    matcher = Matcher(
        [loaded[ident] for ident in sorted(wanted)], dict_getter, _text, raw=lambda e: e.raw
    )
    found = Counter(rule.id for _, rule in matcher.match(events))
    if silent := wanted - found.keys():
        return f"rule {', '.join(sorted(silent))} matched nothing"
    least = max((_count(each) for each in info.get("regression_tests_info") or []), default=1)
    if min(found.values()) < least:
        return f"expected {least} matches, found {min(found.values())}"
    return None


def _count(test: Any) -> int:
    """Return how many events a test says match."""
    count = test.get("match_count", 1) if isinstance(test, dict) else 1
    return count if isinstance(count, int) else 1


def _events(path: Path) -> Iterator[_Event]:
    """Yield the objects of a file: one, a list, or one after the other."""
    text, place, decoder = path.read_text().strip(), 0, json.JSONDecoder()
    while place < len(text):
        read, end = decoder.raw_decode(text, place)
        place = end + len(text[end:]) - len(text[end:].lstrip())
        for each in read if isinstance(read, list) else [read]:
            if isinstance(each, dict):
                event = _Event(flat(each) if is_windows(each) else each)
                event.raw = orjson.dumps(each)
                yield event


def _text(event: _Event) -> str:
    return "\n".join(texts(event.raw))
