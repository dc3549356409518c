"""A rule as one generated Python expression over memoised predicates.

Any part of a condition that reads a single field becomes one predicate of that
field's value, and its answer is remembered per distinct value: telemetry repeats
itself. The generated text is made of ``and``, ``or``, ``not``, parentheses and names
made here; nothing of a rule or an event ever becomes code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from detectors.engine import condition as c
from detectors.engine.leaves import any_part_test, evaluate, fieldref_test, leaf_test

Getter = Callable[[Any], Any]
Compiled = Callable[[Any], bool]

#: Entries that all memos of a matcher hold together before they are emptied.
MEMO_ENTRIES = 200_000

#: Longer texts are not remembered: they rarely repeat and would fill the memory.
MEMO_CHARS = 512


class Memos:
    """The budget that bounds the memory of all memos of one matcher together."""

    def __init__(self, entries: int = MEMO_ENTRIES) -> None:
        self.entries = entries
        self.left = entries
        self.all: list[Memo] = []

    def full(self) -> None:
        """Empty every memo; cheap, because what is in use comes back at once."""
        for memo in self.all:
            memo.clear()
        self.left = self.entries


class Memo(dict[Any, Any]):
    """Remembers ``answer(value)`` per distinct value; ``memo[value]`` is the whole interface.

    An unhashable value (a list, an object) raises TypeError: call `answer` instead.
    """

    __slots__ = ("answer", "memos", "truths")

    def __init__(self, answer: Callable[[Any], Any], memos: Memos) -> None:
        super().__init__()
        self.answer = answer
        self.memos = memos
        self.truths = (answer(False), answer(True))
        memos.all.append(self)

    def __missing__(self, value: Any) -> Any:
        kind = value.__class__
        if kind is bool:  # True, 1 and 1.0 are one key but not one value: none is kept
            return self.truths[value]
        found = self.answer(value)
        if kind is str:
            if len(value) > MEMO_CHARS:
                return found
        elif kind is tuple:
            if len(value) > 16 or not all(item.__class__ is str for item in value):
                return found
        elif value is not None and (kind is not int or 0 <= value <= 1):
            return found
        memos = self.memos
        memos.left -= 1
        if memos.left < 0:
            memos.full()
        self[value] = found
        return found


class Each:
    """A memo asked for each element of a list: ``each[values]`` is true where one is."""

    __slots__ = ("memo",)

    def __init__(self, memo: Memo) -> None:
        self.memo = memo

    def __getitem__(self, value: Any) -> bool:
        try:
            if value.__class__ is list:
                return any(map(self.memo.__getitem__, value))
            return bool(self.memo[value])
        except TypeError:  # an object, or a list in the list
            return bool(self.memo.answer(value))


def predicate(node: c.Node) -> Callable[[Any], bool]:
    """Return a condition that reads one field as a predicate of that field's value."""
    if isinstance(node, c.Leaf):
        return leaf_test(node)
    if isinstance(node, c.Not):
        inner = predicate(node.arg)
        return lambda value: not inner(value)
    if isinstance(node, c.All):
        tests = [predicate(arg) for arg in node.args]
        return lambda value: all(test(value) for test in tests)
    parts = [arg for arg in node.args if _is_part(arg)]
    tests = [predicate(arg) for arg in node.args if not _is_part(arg)]
    if parts:
        tests.insert(0, any_part_test(parts))
    return lambda value: any(test(value) for test in tests)


def _is_part(node: c.Node) -> TypeGuard[c.Leaf]:
    return isinstance(node, c.Leaf) and node.op == "contains" and not node.cased


class Compiler:
    """Compiles rules for one set of getters; equal predicates are shared between rules."""

    def __init__(self, getters: dict[str | None, Getter], memos: Memos) -> None:
        self.getters = getters
        self.memos = memos
        self.predicates: dict[c.Node, Memo] = {}

    def compile(self, node: c.Node) -> tuple[Compiled, Compiled]:
        """Return ``event -> bool`` twice: with memos, and without.

        Both raise what a getter or predicate raises. The first also raises TypeError
        where a value is no key of a memo (a list, an object): then ask the second.
        """
        names: dict[str, Any] = {}
        try:
            fast, plain = self._expression(node, names)
            # Only names made here: see the module.
            quick, careful = (eval(f"lambda event: {text}", names) for text in (fast, plain))  # noqa: S307
        except (SyntaxError, MemoryError, RecursionError):  # nested too deep for Python's parser
            quick = careful = self._interpret(node)
        return quick, careful

    def _interpret(self, node: c.Node) -> Compiled:
        getters = self.getters
        return lambda event: evaluate(node, lambda field: getters[field](event))

    def _expression(self, node: c.Node, names: dict[str, Any]) -> tuple[str, str]:
        """Return the expression with memos and the one without, naming what they use."""
        field = _single_field(node)
        if field is not None and (field[0] is not None or _is_any(node)):
            return self._leaf(node, field[0], names)
        if isinstance(node, c.Leaf):
            return self._fieldref(node, names)
        if isinstance(node, c.Not):
            fast, plain = self._expression(node.arg, names)
            return f"(not {fast})", f"(not {plain})"
        glue = " and " if isinstance(node, c.All) else " or "
        parts = [self._expression(arg, names) for arg in _by_field(node)]
        return (f"({glue.join(p[0] for p in parts)})", f"({glue.join(p[1] for p in parts)})")

    def _leaf(self, node: c.Node, field: str | None, names: dict[str, Any]) -> tuple[str, str]:
        key = _anonymous(node)
        memo = self.predicates.get(key)
        if memo is None:
            memo = self.predicates[key] = Memo(predicate(node), self.memos)
        get, remembered = self._getter(field, names), f"p{len(names)}"
        names[remembered] = memo if field is not None else Each(memo)
        names[f"{remembered}_"] = Each(memo).__getitem__ if _is_any(node) else memo.answer
        return f"{remembered}[{get}(event)]", f"{remembered}_({get}(event))"

    def _fieldref(self, leaf: c.Leaf, names: dict[str, Any]) -> tuple[str, str]:
        one, other = (self._getter(name, names) for name in c.fields_of(leaf))
        name = f"r{len(names)}"
        names[name] = fieldref_test(leaf)
        text = f"{name}({one}(event), {other}(event))"
        return text, text

    def _getter(self, field: str | None, names: dict[str, Any]) -> str:
        getter = self.getters[field]
        name = next((known for known, value in names.items() if value is getter), "")
        if not name:
            name = f"g{len(names)}"
            names[name] = getter
        return name


def _single_field(node: c.Node) -> tuple[str | None] | None:
    """Return the one field that a condition reads, in a tuple; None where it reads more."""
    fields = {name for leaf in c.leaves(node) for name in c.fields_of(leaf)}
    if len(fields) != 1 or any(leaf.op == "fieldref" for leaf in c.leaves(node)):
        return None
    return (fields.pop(),)


def _is_any(node: c.Node) -> bool:
    """Say whether a condition holds for a list of texts exactly if it does for one of them."""
    if isinstance(node, c.Any):
        return all(map(_is_any, node.args))
    return isinstance(node, c.Leaf) and node.op not in ("null", "exists")


def _by_field(node: c.All | c.Any) -> list[c.Node]:
    """Return the arguments of a node, those that read one and the same field put together."""
    groups: dict[Any, list[c.Node]] = {}
    for index, arg in enumerate(node.args):
        field = _single_field(arg)
        together = field and (field[0] is not None or (_is_any(node) and _is_any(arg)))
        key = ("field", *field) if field and together else ("own", index)
        groups.setdefault(key, []).append(arg)
    return [_regroup(type(node), args) for args in groups.values()]


def _regroup(kind: type[c.All | c.Any], args: list[c.Node]) -> c.Node:
    return args[0] if len(args) == 1 else kind(tuple(args))


def _anonymous(node: c.Node) -> c.Node:
    """Return the condition without its origin, so that equal tests compare equal."""
    if isinstance(node, c.Leaf):
        return c.Leaf(*_test_of(node))
    if isinstance(node, c.Not):
        return c.Not(_anonymous(node.arg))
    return type(node)(tuple(_anonymous(arg) for arg in node.args))


def _test_of(leaf: c.Leaf) -> Iterable[Any]:
    return (leaf.field, leaf.op, leaf.text, leaf.parts, leaf.number, leaf.flag, leaf.cased)
