"""Take SARIF logs apart: one scan a run, one finding a result, with the rule that it is of.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0", sections
3.14 (run), 3.19 (toolComponent), 3.27 (result), 3.49 (reportingDescriptor), 3.52 (reference).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from connectors._findings.frame import inside, word, words
from connectors._findings.report import Document, Scan, context, items, objects, text, value
from connectors._json.fields import some
from sentinel.errors import DecodeError

#: Words of a help text kept; it repeats the description at length.
_HELP: Final = 1024
_CWE: Final = re.compile(r"(?:\A|[/:\s(])cwe[-/ ]?(?:cwe-)?0*(\d{1,5})\b", re.IGNORECASE)
Rules = tuple[dict[str, bytes], dict[tuple[int, int], bytes]]


def scans(document: Document) -> Iterator[Scan]:
    """Yield the scan of each run.

    Raises
    ------
    DecodeError
        Reason ``shape``: this is no SARIF.
    """
    found = objects(document, "a SARIF log")
    if "runs" not in found:
        raise DecodeError(
            "shape",
            "expected a SARIF 2.1 log (version, runs), found an object with "
            f"{', '.join(list(found)[:6]) or 'nothing in it'}",
        )
    for run in items(found["runs"], "runs"):
        yield _run(objects(run, "a run"))


def _run(run: dict[str, Document]) -> Scan:
    tool = objects(run["tool"], "tool") if "tool" in run else {}
    driver = objects(tool["driver"], "the driver") if "driver" in tool else {}
    rules: Rules = ({}, {})
    by_id, by_index = rules
    extensions = items(tool.get("extensions"), "extensions")
    for number, component in enumerate([driver, *(objects(each, "a tool") for each in extensions)]):
        for index, raw in enumerate(items(component.get("rules"), "rules")):
            rule = _rule(value(raw))
            by_index[number - 1, index] = rule
            by_id.setdefault(text(objects(raw, "a rule").get("id")), rule)
    name = text(driver.get("name")) or "SARIF"
    findings = [
        (_context(name, item, rules), item) for item in items(run.get("results"), "results")
    ]
    details = value(run.get("automationDetails"))
    invocations = value(run.get("invocations"))
    invocation = invocations[-1] if isinstance(invocations, list) and invocations else None
    version = text(driver.get("semanticVersion")) or text(driver.get("version"))
    return Scan(
        findings,
        target=_target(run),
        time=inside(invocation, "endTimeUtc") or inside(invocation, "startTimeUtc"),
        version=version,
        uid=word(inside(details, "guid")),
        scope="/".join(part for part in (name, word(inside(details, "id")).rstrip("/")) if part),
    )


def _target(run: dict[str, Document]) -> str:
    """Return the repository that was scanned, without credentials; else where it lay."""
    provenance = value(run.get("versionControlProvenance"))
    if isinstance(provenance, list) and provenance:
        uri = word(inside(provenance[0], "repositoryUri"))
        scheme, _, rest = uri.rpartition("://")
        host, slash, path = rest.partition("/")
        host = host.rpartition("@")[2]
        return f"{scheme}://{host}{slash}{path}".removeprefix("://").removesuffix(".git")
    return ""


def _context(name: str, result: Document, rules: Rules) -> bytes:
    """Return tool and rule of a result as JSON; the rule was made JSON once for all."""
    members = objects(result, "a result")
    rule = _find(members, rules)
    tool = msgspec.json.encode(name)
    return b'{"tool":' + tool + b',"rule":' + rule + b"}" if rule else context(tool=name)


def _find(members: dict[str, Document], rules: Rules) -> bytes:
    """Return the rule of a result: by its reference, its index, its id, or the id's parent."""
    by_id, by_index = rules
    reference = value(members.get("rule"))
    component = inside(reference, "toolComponent", "index")
    component = component if isinstance(component, int) else -1
    index = inside(reference, "index")
    index = value(members.get("ruleIndex")) if index is None else index
    uid = text(members.get("ruleId")) or word(inside(reference, "id"))
    if isinstance(index, int) and (component, index) in by_index:
        return by_index[component, index]
    return by_id.get(uid) or by_id.get(uid.rpartition("/")[0], b"")


def _rule(rule: Any) -> bytes:
    """Return what is used of a rule, as JSON."""
    properties = inside(rule, "properties")
    tags = words(inside(properties, "tags"))
    related = [
        word(inside(each, "target", "id"))
        for each in _list(inside(rule, "relationships"))
        if "cwe" in word(inside(each, "target", "toolComponent", "name")).lower()
    ]
    level = inside(rule, "defaultConfiguration", "level")
    kept = some(
        id=word(inside(rule, "id")),
        name=word(inside(rule, "name")),
        title=word(inside(rule, "shortDescription", "text")),
        desc=word(inside(rule, "fullDescription", "text")),
        help=word(inside(rule, "help", "text"))[:_HELP],
        url=word(inside(rule, "helpUri")),
        level=word(level),
        severity=word(inside(properties, "security-severity")),
        word=word(inside(properties, "severity")) or word(inside(properties, "problem.severity")),
        tags=tags,
        cwes=weaknesses([*tags, *words(inside(properties, "cwe")), *related], bare=related),
    )
    return msgspec.json.encode(kept)


def weaknesses(texts: list[str], bare: list[str] | None = None) -> list[str]:
    """Return the CWE ids that tags name, each once; `bare` ones may be a number alone.

    >>> weaknesses(["security", "external/cwe/cwe-079", "CWE-89: SQL Injection"])
    ['CWE-79', 'CWE-89']
    """
    found = [match[1] for each in texts if (match := _CWE.search(each))]
    found += [each for each in bare or () if each.isdecimal() and len(each) < 6]
    return list(dict.fromkeys(f"CWE-{int(number)}" for number in found if int(number)))


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
