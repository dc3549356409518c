"""Loading of Sigma rules: what runs, what is listed with its reason, what rules carry."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from detectors.engine.witness.index import clauses_of
from detectors.match import dict_getter
from detectors.sigma import RuleSet
from sentinel.errors import RuleError
from tests.detectors.sigma_rules import HEAD, load, matches, selection, write
from tests.detectors.test_sigma_semantics import YES_AND_NO


class Bad(NamedTuple):
    detection: Any
    reason: str


@pytest.mark.parametrize(
    "bad",
    [
        Bad(selection(f__re="(?<=a)b"), "linear time|invalid"),
        Bad(selection(f__re=r"(a)\1"), "linear time|invalid"),
        Bad(selection(f__re="("), "invalid"),
        Bad(selection(f__expand="%admins%"), "placeholder %admins%"),
        Bad(selection(f__sounds="a"), "Unknown modifier"),
        Bad(selection(f__cidr="10.0.0.0/99"), "CIDR"),
        Bad(selection(f__lt="many"), "incompatible"),
        Bad(selection(f="a") | {"condition": "selection and missing"}, "missing"),
        Bad(selection(f="a") | {"condition": "1 of missing_*"}, "missing_"),
        Bad(selection(f="a") | {"condition": "selection | count() > 5"}, "event_count"),
        Bad(selection(f="a") | {"condition": "selection and"}, "Expected"),
        Bad({"selection": {"f": "a"}}, "condition"),
        Bad("text", "detection"),
        Bad({"selection": {"f": {"nested": "map"}}, "condition": "selection"}, "type|malformed"),
    ],
)
def test_what_cannot_run_is_listed_with_its_reason(tmp_path, bad):
    ruleset = load(tmp_path, bad.detection)
    assert ruleset.rules == ()
    (listed,) = ruleset.unsupported
    assert listed.path == str(tmp_path / "rule.yml")
    assert listed.rule_id == HEAD["id"]
    assert any(part.lower() in listed.reason.lower() for part in bad.reason.split("|"))


def test_placeholders_can_be_given(tmp_path):
    ruleset = load(
        tmp_path, selection(f__expand="%admins%-x"), placeholders={"admins": ["root", "bob"]}
    )
    assert matches(ruleset, {"f": "BOB-x"})
    assert not matches(ruleset, {"f": "alice-x"})


def test_metadata(tmp_path):
    tags = ["attack.persistence", "attack.t1098", "attack.t1078.004", "cve.2021-1"]
    write(
        tmp_path, selection(f="a"), tags=tags, falsepositives=["Admins"], references=["https://x"]
    )
    write(tmp_path, selection(f="a"), "b.yml", id=None, level="low")
    first, second = RuleSet.load([tmp_path]).rules[::-1]
    assert (first.id, first.title, first.severity_id) == (HEAD["id"], "A rule", 4)
    assert first.techniques == ("T1098", "T1078.004")
    assert first.falsepositives == ("Admins",)
    assert first.fields == {"f"}
    assert tuple(first.logsource) == ("aws", "", "cloudtrail")
    assert second.severity_id == 2
    assert second.id == RuleSet.load([tmp_path]).rules[0].id != ""


def test_faulty_metadata_does_not_keep_a_rule_from_running(tmp_path):
    write(
        tmp_path,
        selection(f="a"),
        id="my-rule",
        date="soon",
        status="shiny",
        level="dreadful",
        tags=["attack.t1098"],
        references="none",
    )
    ruleset = RuleSet.load([tmp_path])
    assert matches(ruleset, {"f": "a"})
    (rule,) = ruleset.rules
    assert (rule.id, rule.title, rule.severity_id) == ("my-rule", "A rule", 3)
    assert rule.techniques == ("T1098",)


def test_documents_of_one_file(tmp_path):
    documents = [
        {"action": "global", "title": "Of all", "level": "low", "logsource": {"product": "aws"}},
        {"detection": selection(f="a")},
        {"detection": selection(f="b")},
        {"action": "repeat", "detection": {"selection": {"f": "c"}}},
        {"action": "reset"},
        HEAD | {"detection": selection(f="d")},
        {"title": "Many", "correlation": {"type": "event_count"}},
        {"title": "Less", "filter": {"rules": ["x"]}},
    ]
    (tmp_path / "all.yml").write_text("---\n" + yaml.safe_dump_all(documents, sort_keys=False))
    ruleset = RuleSet.load([tmp_path])
    assert [rule.title for rule in ruleset.rules] == ["Of all"] * 3 + ["A rule"]
    assert len({rule.id for rule in ruleset.rules}) == 4
    matcher = ruleset.matcher(dict_getter)
    found = matcher.match([{"f": letter} for letter in "abcd"])
    assert [(row, ruleset.rules.index(rule)) for row, rule in found] == [(n, n) for n in range(4)]
    assert [each.reason.split(":")[0] for each in ruleset.unsupported] == ["correlation", "filter"]
    lines = (tmp_path / "all.yml").read_text().splitlines()
    assert lines[ruleset.unsupported[0].line - 1] == "title: Many"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: [1\nb: 2\n", 2, "YAML"),
        ("- a\n- b\n", 1, "mapping"),
        ("just text", 1, "mapping"),
        ("name: workflow\non: push\n", 1, "no Sigma|not a Sigma"),
        ("\x00", 1, "YAML"),
        ("a: 1\nb:\n  f|contains: x\n  f|contains: y\n", 4, "twice"),
    ],
)
def test_files_that_are_no_rules_are_listed(tmp_path, text, line, reason):
    (tmp_path / "x.yaml").write_text(text)
    ruleset = RuleSet.load([tmp_path])
    assert ruleset.rules == ()
    (listed,) = ruleset.unsupported
    assert listed.line == line
    assert any(part in listed.reason for part in reason.split("|"))


def test_a_second_rule_with_an_id_is_listed(tmp_path):
    write(tmp_path, selection(f="a"), "a.yml")
    write(tmp_path, selection(f="b"), "b.yml")
    ruleset = RuleSet.load([tmp_path, tmp_path / "a.yml"])
    assert len(ruleset.rules) == 1
    assert [Path(each.path).name for each in ruleset.unsupported] == ["b.yml", "a.yml"]


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(RuleError, match="nowhere"):
        RuleSet.load([tmp_path / "nowhere"])


def test_the_cache_changes_nothing_but_time(tmp_path):
    rules, cache = tmp_path / "rules", tmp_path / "cache"
    for index, (detection, _, _) in enumerate(YES_AND_NO):
        write(rules, detection, f"{index}.yml", id=None)
    write(rules, selection(f__re="("), "bad.yml")
    fresh, first, second = (RuleSet.load([rules], cache=each) for each in (None, cache, cache))
    for other in (first, second):
        assert [rule.id for rule in other.rules] == [rule.id for rule in fresh.rules]
        assert [rule.node for rule in other.rules] == [rule.node for rule in fresh.rules]
        assert other.unsupported == fresh.unsupported
    write(rules, selection(f="changed"), "0.yml", id=None)
    assert RuleSet.load([rules], cache=cache).rules[0].node.text == "changed"
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    assert len(RuleSet.load([rules], cache=cache).rules) == len(fresh.rules)


class Source(NamedTuple):
    product: str = ""
    category: str = ""
    service: str = ""


@pytest.mark.parametrize(
    ("logsource", "chosen"),
    [
        ({"product": "aws", "service": "cloudtrail"}, True),
        ({"product": "aws"}, True),
        ({"service": "cloudtrail"}, True),
        ({"product": "aws", "service": "guardduty"}, False),
        ({"product": "linux"}, True),
        ({"category": "process_creation"}, True),
        ({"category": "process_creation", "product": "windows"}, False),
        ({"category": "process_creation", "product": "linux"}, True),
        ({"category": "file_event", "product": "linux"}, False),
    ],
)
def test_rules_are_routed_by_log_source(tmp_path, logsource, chosen):
    write(tmp_path, selection(f="a"), logsource=logsource)
    sources = [Source("aws", "", "cloudtrail"), Source("linux", "process_creation")]
    assert bool(RuleSet.load([tmp_path]).select(sources).rules) == chosen
    assert not RuleSet.load([tmp_path]).select([]).rules


def test_a_rule_of_a_category_is_about_events_of_it_only(tmp_path):
    write(
        tmp_path,
        {"selection": {"Image|fieldref": "User"}, "filter": {"Image": "b"}}
        | {"condition": "selection and not filter"},
        logsource={"product": "linux", "category": "file_event"},
    )
    (rule,) = RuleSet.load([tmp_path]).select([Source("linux", "file_event")]).rules
    assert rule.fields == {"@category", "file_event.Image", "file_event.User"}
    matcher = RuleSet([rule]).matcher(dict_getter)
    event = {"@category": "file_event", "file_event": {"Image": "a", "User": "a"}}
    assert matcher.match([event])
    assert not matcher.match([event | {"@category": "process_creation"}])
    matched = matcher.explain(event, rule)["matched"]
    assert [item["field"] for item in matched] == ["@category", "Image"]


def test_an_explanation(tmp_path):
    ruleset = load(
        tmp_path,
        {"selection": {"f|contains": ["ab", "xy"], "g": 5}, "filter_aws": {"h|startswith": "AWS"}}
        | {"condition": "selection and not 1 of filter_*"},
    )
    event = {"f": "XabX", "g": "5", "h": "me"}
    assert ruleset.matcher(dict_getter).explain(event, ruleset.rules[0]) == {
        "condition": "selection and not 1 of filter_*",
        "matched": [
            {
                "selection": "selection",
                "field": "f",
                "modifiers": "contains",
                "pattern": "ab",
                "value": "XabX",
            },
            {"selection": "selection", "field": "g", "modifiers": "", "pattern": "5", "value": "5"},
        ],
        "quiet": "h startswith 'AWS' (filter_aws)",
        "false_positives": [],
        "description": "",
        "references": [],
    }


def test_a_regular_expression_takes_linear_time(tmp_path):
    ruleset = load(tmp_path, selection(f__re="(a+)+$"))
    assert not matches(ruleset, {"f": "a" * 50_000 + "b"})


@pytest.fixture(scope="session")
def public(data: Path, tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    cache = tmp_path_factory.getbasetemp() / "sigma-cache"
    return RuleSet.load([data / "sigma_rules" / "rules"], cache=cache)


def test_every_public_rule_loads(public):
    assert len(public.rules) == 3140
    assert public.unsupported == ()


def test_few_public_rules_lack_a_witness(public):
    clauses = [each for rule in public.rules for each in clauses_of(0, rule.node)]
    always = [clause for clause in clauses if not clause.needs]
    assert len(always) <= 0.004 * len(public.rules)  # RSigma: 99.6 % have one
