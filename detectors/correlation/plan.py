"""How correlations and the rules they name fit together: who contributes what, who alerts.

A correlation that no other one takes over is a *root*; it and the correlations below it are a
`Tree`, whose whole state is kept where the root's group is. So each correlation of a chain has
to group by at least what the one above it groups by: then an event says, on its own, where it
belongs in every one of them. (Any other chain would need events to be sent on once more.)

A rule or correlation that another one names raises no alert of its own, unless that one says
``generate: true`` (Sigma specification 2.1, Sigma Correlation Rules).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from detectors.correlation.rules import Correlation
from detectors.engine.condition import Rule
from sentinel.errors import RuleError

#: Correlations above one another.
MAX_DEPTH = 8
#: Hundreds of fields that one state is kept by would be a mistake.
MAX_GROUP = 16

Places = tuple[int, ...]


class Step(NamedTuple):
    """What an event that matches a rule contributes to one correlation.

    Attributes
    ----------
    root, node, rule
        Ids: of the root, of the correlation that names the rule, of the rule.
    fields
        Of the event, whose values are the group of the node, in order.
    values
        Of the event, whose values are counted or added up; none: it is the event that counts.
    key
        Where in the group of the node the values of the root's group are.
    category
        Sigma category of the rule: its fields have the category in front.
    """

    root: str
    node: str
    rule: str
    fields: tuple[str, ...]
    values: tuple[str, ...]
    key: Places
    category: str


class Parent(NamedTuple):
    """A correlation that takes the matches of another as its events.

    `member` is which of its rules that is; `group` and `values` are where, in the group of the
    lower one, the values of its group and of its field are.
    """

    node: str
    member: int
    group: Places
    values: Places


class Node(NamedTuple):
    """One correlation of a tree.

    Attributes
    ----------
    correlation
        The correlation.
    members
        Place of each of its rules or correlations, by id.
    titles
        Their titles, by place.
    parents
        Who takes its matches.
    slack_ms
        How long after the newest event of its group something may still come to it.
    """

    correlation: Correlation
    members: dict[str, int]
    titles: tuple[str, ...]
    parents: tuple[Parent, ...]
    slack_ms: int


class Tree(NamedTuple):
    """A root and all correlations below it, each after those it takes its events from."""

    root: Correlation
    nodes: dict[str, Node]


class Plan:
    """All correlations of a rule set that can be run.

    Attributes
    ----------
    trees
        By the id of the root.
    steps
        What a match of a rule contributes, by the id of the rule.
    silent
        Ids of rules and correlations that raise no alert of their own.
    correlations
        Those that run, in the order given.
    refused
        The others, each with the reason.
    """

    def __init__(
        self, rules: Iterable[Rule] = (), correlations: Sequence[Correlation] = ()
    ) -> None:
        self._known: dict[str, Rule | Correlation] = {}
        self._twice: set[str] = set()
        for rule in rules:
            self._know(rule)
        for correlation in correlations:
            self._know(correlation)
        self._done: dict[str, str] = {}
        self._members: dict[str, tuple[Rule | Correlation, ...]] = {}
        self.refused: list[tuple[Correlation, str]] = []
        self.correlations = tuple(each for each in correlations if self._runs(each))
        self.silent = frozenset(
            member.id
            for each in self.correlations
            if not each.generate
            for member in self._members[each.id]
        )
        self.trees: dict[str, Tree] = {}
        self.steps: dict[str, tuple[Step, ...]] = {}
        for each in self.correlations:
            if each.id not in self.silent:
                self._plant(each)

    def rules_of(self, root: str) -> list[str]:
        """Return the ids of the rules whose matches go into a tree."""
        return [rule for rule, steps in self.steps.items() if any(s.root == root for s in steps)]

    def _know(self, each: Rule | Correlation) -> None:
        for name in {each.id, each.name} - {""}:
            if name in self._known:
                self._twice.add(name)
            self._known.setdefault(name, each)

    def _runs(self, each: Correlation) -> bool:
        reason = self._judged(each, ())
        if reason:
            self.refused.append((each, reason))
        return not reason

    def _judged(self, each: Correlation, above: tuple[str, ...]) -> str:
        """Return why a correlation cannot be run; empty where it can."""
        if each.id in above:
            return "the correlation names itself, by way of those that it names"
        if len(above) >= MAX_DEPTH:
            return f"expected at most {MAX_DEPTH} correlations above one another"
        if each.id not in self._done:
            try:
                self._resolve(each, (*above, each.id))
                self._done[each.id] = ""
            except RuleError as error:
                self._done[each.id] = f"correlation: {error}"
        return self._done[each.id]

    def _resolve(self, each: Correlation, above: tuple[str, ...]) -> None:
        """Find what a correlation names; raise where it cannot be run."""
        if len(each.group_by) > MAX_GROUP:
            raise RuleError(f"expected at most {MAX_GROUP} fields to group by")
        members = []
        for name in each.rules:
            found = self._known.get(name)
            if found is None:
                raise RuleError(f"it names the rule {name}, which is not loaded")
            if name in self._twice:
                raise RuleError(f"it names the rule {name}, which two rules are called; use the id")
            if isinstance(found, Correlation):
                if reason := self._judged(found, above):
                    raise RuleError(f"it names {name}, which does not run: {reason}")
                _parent(each, 0, name, found)
            members.append(found)
        if len({member.id for member in members}) < len(members):
            raise RuleError("a rule is named twice, by its id and its name; name each once")
        self._members[each.id] = tuple(members)

    def _plant(self, root: Correlation) -> None:
        """Make the tree of a root, and note what the rules contribute to it."""
        order = list(dict.fromkeys(self._below(root)))  # each after all that it takes
        parents: dict[str, list[Parent]] = {each.id: [] for each in order}
        keys: dict[str, Places] = {root.id: tuple(range(len(root.group_by)))}
        for each in reversed(order):
            for place, (name, member) in enumerate(
                zip(each.rules, self._members[each.id], strict=True)
            ):
                if isinstance(member, Rule):
                    self._contribute(_step(root, each, name, member, keys[each.id]))
                    continue
                parent = _parent(each, place, name, member)
                parents[member.id].append(parent)
                key = tuple(parent.group[at] for at in keys[each.id])
                if keys.setdefault(member.id, key) != key:
                    self._refuse(root, f"its parts see {member.title} grouped in two ways")
                    return
        self.trees[root.id] = Tree(root, self._nodes(order, parents))

    def _refuse(self, root: Correlation, reason: str) -> None:
        self.refused.append((root, f"correlation: {reason}"))
        self.correlations = tuple(each for each in self.correlations if each.id != root.id)
        for rule, steps in self.steps.items():
            self.steps[rule] = tuple(step for step in steps if step.root != root.id)

    def _below(self, each: Correlation) -> list[Correlation]:
        found: list[Correlation] = []
        for member in self._members[each.id]:
            if isinstance(member, Correlation):
                found += self._below(member)
        return [*found, each]

    def _nodes(
        self, order: Sequence[Correlation], parents: dict[str, list[Parent]]
    ) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        for each in order:
            members = self._members[each.id]
            below = [nodes[member.id] for member in members if member.id in nodes]
            nodes[each.id] = Node(
                each,
                {member.id: place for place, member in enumerate(members)},
                tuple(member.title for member in members),
                tuple(parents[each.id]),
                each.lateness_ms + max((_wait(node) for node in below), default=0),
            )
        return nodes

    def _contribute(self, step: Step) -> None:
        self.steps[step.rule] = (*self.steps.get(step.rule, ()), step)


def _wait(node: Node) -> int:
    """Return how long after the newest event of a group a match of it may come, in ms."""
    if node.correlation.growing:
        return node.slack_ms
    return node.slack_ms + node.correlation.timespan_ms + node.correlation.gap_ms


def _step(root: Correlation, each: Correlation, name: str, rule: Rule, key: Places) -> Step:
    named = [each.aliases.get(field, {}).get(name, field) for field in each.group_by]
    values = [each.aliases.get(field, {}).get(name, field) for field in each.fields]
    wanted = tuple(values) if each.valued else ()
    return Step(root.id, each.id, rule.id, tuple(named), wanted, key, rule.logsource.category)


def _parent(upper: Correlation, place: int, name: str, lower: Correlation) -> Parent:
    """Return how `upper` takes the matches of `lower`; raise where it cannot."""
    named = [upper.aliases.get(field, {}).get(name, field) for field in upper.group_by]
    if missing := [field for field in named if field not in lower.group_by]:
        wanted = ", ".join(missing)
        raise RuleError(
            f"it groups by {wanted}, which {name} does not: add {wanted} to the group-by of "
            f"{name}, so that one worker sees the whole chain of each group"
        )
    fields = [upper.aliases.get(field, {}).get(name, field) for field in upper.fields]
    if upper.valued and (missing := [field for field in fields if field not in lower.group_by]):
        raise RuleError(
            f"it looks at {', '.join(missing)} of {name}, which a correlation has only where it "
            "groups by it; add it to the group-by there"
        )
    at = lower.group_by.index
    values = tuple(map(at, fields)) if upper.valued else ()
    return Parent(upper.id, place, tuple(map(at, named)), values)


def counted(correlations: Iterable[Correlation]) -> str:
    """Return how many correlations of each type there are, for people."""
    kinds = Counter(each.kind for each in correlations)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
