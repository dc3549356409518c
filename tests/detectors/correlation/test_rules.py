"""What is read of a correlation, and what is refused, with what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from sigma.collection import SigmaCollection

from detectors.correlation.rules import parse_correlation
from detectors.sigma import RuleSet
from sentinel.cli.rules import OWN
from sentinel.errors import RuleError

BODY: dict[str, Any] = {
    "type": "event_count",
    "rules": ["a"],
    "group-by": ["user"],
    "timespan": "5m",
    "condition": {"gte": 3},
}


def parsed(**changes: Any) -> Any:
    body = {key: value for key, value in {**BODY, **changes}.items() if value is not None}
    return parse_correlation({"title": "t", "correlation": body})


def test_a_range_holds_where_both_ends_do():
    assert parsed(condition={"gt": 100, "lte": 200}).conditions == (("gt", 100.0), ("lte", 200.0))


def test_all_rules_are_wanted_where_no_condition_says_how_many():
    found = parsed(type="temporal", rules=["a", "b", "c"], condition=None)
    assert found.conditions == (("gte", 3.0),)
    some = parsed(type="temporal", rules=["a", "b", "c"], condition={"gte": 2})
    assert some.conditions == (("gte", 2.0),)


def test_a_condition_over_rules_names_them():
    found = parsed(type="temporal", rules=None, condition="a and (b or c)")
    assert found.rules == ("a", "b", "c")
    assert found.condition == "a and (b or c)"
    assert found.growing
    assert not parsed(type="temporal", rules=None, condition="a and not b").growing


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"timspan": "5m"}, "found timspan"),
        ({"type": "count"}, "no valid Sigma correlation type"),
        ({"timespan": "5 minutes"}, "Timespan"),
        ({"condition": {"gte": "many"}}, "expected a number after gte"),
        ({"type": "value_sum"}, "without field reference"),
        ({"type": "value_percentile", "condition": {"gte": 1, "field": "f"}}, "`percentile`"),
        ({"window": "hopping"}, "sliding, tumbling or session"),
        ({"window": "session"}, "`gap`"),
        ({"group-by": ["@color"]}, "@src_ip"),
        ({"rules": ["a", "a"]}, "named twice"),
        ({"aliases": {"x": {"b": "f"}}}, "`rules` does not name"),
        ({"type": "temporal_ordered", "rules": ["a", "b"], "condition": "a and b"}, "`gte: k`"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_reason(changes, told):
    with pytest.raises(RuleError, match=r"^correlation: ") as refused:
        parsed(**changes)
    assert told in str(refused.value)


def load(folder: Path, *documents: dict[str, Any]) -> RuleSet:
    rule = {"title": "A", "name": "a", "logsource": {"product": "aws"},
            "detection": {"s": {"f": 1}, "condition": "s"}}  # fmt: skip
    (folder / "rules.yml").write_text(yaml.safe_dump_all([rule, *documents]))
    return RuleSet.load([folder])


def correlation(name: str, **changes: Any) -> dict[str, Any]:
    return {"title": name, "name": name, "id": name, "correlation": {**BODY, **changes}}


def test_a_rule_that_is_named_is_silent_unless_it_is_to_generate(tmp_path):
    found = load(tmp_path, correlation("one"))
    assert found.plan.silent == {found.rules[0].id}
    loud = load(tmp_path, correlation("one", generate=True))
    assert loud.plan.silent == frozenset()


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        ([correlation("one", rules=["nothing"])], "nothing, which is not loaded"),
        ([correlation("one", rules=["one"])], "names itself"),
        (
            [correlation("one"), correlation("two", rules=["one"], **{"group-by": ["host"]})],
            "add host to the group-by of one",
        ),
        (
            [
                correlation("one"),
                correlation("two", rules=["one"], type="value_count",
                            condition={"field": "ip", "gte": 2}),
            ],
            "add it to the group-by there",
        ),
    ],
)  # fmt: skip
def test_a_chain_that_cannot_be_kept_in_one_place_is_refused(tmp_path, documents, told):
    found = load(tmp_path, *documents)
    assert any(told in each.reason for each in found.unsupported)


def test_our_correlations_are_what_pysigma_reads():
    """The same documents, through its own collection: references resolve, nothing is odd."""
    for file in sorted((OWN / "correlations").glob("*.yml")):
        if "a12bcbb1" in file.read_text():
            continue  # names rules of other files
        read = SigmaCollection.from_yaml(file.read_text())
        read.resolve_rule_references()
        assert not read.errors, file


def test_public_rules_are_not_taken_for_correlations(tmp_path):
    """A checkout without any still gets all of its rules, and an empty plan."""
    assert load(tmp_path).plan.trees == {}
