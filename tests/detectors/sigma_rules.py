"""Rules made for a test: from a detection to a rule file, a rule set, a verdict."""

from pathlib import Path
from typing import Any

import yaml

from detectors.match import dict_getter
from detectors.sigma import RuleSet

HEAD = {
    "title": "A rule",
    "id": "0c1b5bd4-9fb2-4a8e-9a52-2f3f1f0a7a11",
    "status": "test",
    "level": "high",
    "logsource": {"product": "aws", "service": "cloudtrail"},
}


def write(folder: Path, detection: Any, name: str = "rule.yml", **more: Any) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    rule = HEAD | {"detection": detection} | more
    stated = {key: value for key, value in rule.items() if value is not None}
    file.write_text(yaml.safe_dump(stated, allow_unicode=True))
    return file


def load(folder: Path, detection: Any, **options: Any) -> RuleSet:
    write(folder, detection)
    return RuleSet.load([folder], **options)


def matches(ruleset: RuleSet, event: dict[str, Any]) -> bool:
    assert [each.reason for each in ruleset.unsupported] == []
    matcher = ruleset.matcher(dict_getter)
    found = bool(matcher.match([event]))
    assert not matcher.errors
    assert found == bool(matcher.match_brute([event]))
    return found


def selection(**items: Any) -> dict[str, Any]:
    return {"selection": {key.replace("__", "|"): value for key, value in items.items()}} | {
        "condition": "selection"
    }
