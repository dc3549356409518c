"""Decode only the JSON fields that somebody looks at, and look at them fast.

`TypedJson` builds nested msgspec structs from dotted field paths: the parser then
skips all other fields without making Python objects of them. On a 1.2 kB CloudTrail
record that takes a third of the CPU time of ``orjson.loads`` or less. Sources of audit
logs change the type of a field from one event to the next, so whatever is not
*required* is taken as it comes and never fails a record.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.columns.records import Cell, Column, Records
from schemas.narrow import Narrow
from sentinel.errors import DecodeError, MappingError, RecordError

if TYPE_CHECKING:
    from schemas.columns.lexicon import Lexicon

Getter = Callable[[Any], Any]


def walk(value: Any, names: Sequence[str]) -> Any:
    """Return what is at the path `names` under `value`: what `TypedJson.getter` means.

    A list on the way stands for its items, and the result is the flat list of what
    is found in them. None where there is nothing, or null.

    >>> walk({"a": [{"b": 1}, {"b": [2, 3]}, {"c": 4}]}, ["a", "b"])
    [1, 2, 3]
    """
    for at, name in enumerate(names):
        if isinstance(value, list):
            rest = names[at:]
            return _flat(walk(item, rest) for item in value)
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _flat(values: Iterable[Any]) -> list[Any] | None:
    found: list[Any] = []
    for value in values:
        if isinstance(value, list):
            found.extend(value)
        elif value is not None:
            found.append(value)
    return found or None


@dataclass(slots=True)
class _Node:
    """One name in a path, and what may follow it.

    Attributes
    ----------
    attr
        Attribute of the struct that holds it.
    whole
        The value itself is wanted, so it is decoded in full.
    kind
        Type it must have; None where it is optional.
    struct
        Type of its value where only `children` of it are wanted.
    type
        What msgspec decodes here.
    """

    attr: str = ""
    whole: bool = False
    kind: Any = None
    struct: Any = None
    type: Any = None
    children: dict[str, _Node] = field(default_factory=dict)

    def add(self, names: Sequence[str], kind: Any) -> None:
        """Plant a path below this node."""
        node = self
        for name in names:
            node = node.children.setdefault(name, _Node(attribute(name)))
        node.whole = True
        node.kind = kind or node.kind

    def must(self) -> bool:
        """Say whether this or something below is required."""
        return self.kind is not None or any(child.must() for child in self.children.values())

    def build(self) -> type[msgspec.Struct]:
        """Make the struct of `children`, and theirs."""
        for child in self.children.values():
            child.type = child.annotation()
        fields = [(c.attr, c.type, *c.default()) for c in self.children.values()]
        self.struct = msgspec.defstruct(
            "Record",
            fields,
            rename={child.attr: name for name, child in self.children.items()},
            kw_only=True,
            gc=False,
        )
        return self.struct

    def narrow(self, filled: Iterable[str]) -> Narrow:
        """Return the parser of what `build` made that knows only `filled` and what it has seen."""
        slots = {name: (c.attr, c.type, *c.default()) for name, c in self.children.items()}
        always = [*filled, *(name for name, c in self.children.items() if c.must())]
        return Narrow(self.struct, slots, always)

    def annotation(self) -> Any:
        """Return what msgspec shall decode here; anything fits what is optional."""
        if self.whole:
            return Any if self.kind in (None, object) or self.children else self.kind
        struct = self.build()
        if self.must():
            return struct
        one: Any = struct | str | int | float | bool | None
        return one | list[one | list[Any]]

    def default(self) -> tuple[None, ...]:
        """Return the default, or nothing where the field is required."""
        return () if self.must() else (None,)

    def getter(self, names: Sequence[str], literal: str = "") -> Getter:
        """Return a function from an instance of `struct` to what is at `names`.

        Parameters
        ----------
        literal
            Attribute that is looked at first, for keys with dots in them.
        """
        scope: dict[str, Any] = {"walk": walk}
        body = self._expression(names, "record", scope)
        if literal:
            body = f"value if (value := record.{literal}) is not None else ({body})"
        elif len(names) == 1:
            return attrgetter(self.children[names[0]].attr)
        # Compiled, because the matcher calls getters more often than anything else: a
        # third of the time of nested closures. Only attribute names that `add` chose
        # get into the source text, never text of a rule or record.
        getter: Getter = eval(f"lambda record: {body}", scope)  # noqa: S307
        return getter

    def _expression(self, names: Sequence[str], of: str, scope: dict[str, Any]) -> str:
        child, rest, depth = self.children[names[0]], names[1:], len(names)
        here = f"{of}.{child.attr}"
        if not rest:
            return here
        if child.whole:
            scope[f"rest{depth}"] = rest
            return f"walk({here}, rest{depth})"
        scope[f"struct{depth}"] = child.struct
        scope[f"other{depth}"] = child._other(rest)
        below = child._expression(rest, f"v{depth}", scope)
        return (
            f"({below}) if (v{depth} := {here}).__class__ is struct{depth} "
            f"else None if v{depth} is None else other{depth}(v{depth})"
        )

    def _other(self, names: Sequence[str]) -> Getter:
        """Return what looks for `names` in a value that is not of `struct`."""
        struct, below = self.struct, self.getter(names)

        def find(value: Any) -> Any:
            if value.__class__ is not list:
                return None
            return _flat(
                below(item) if item.__class__ is struct else walk(item, names) for item in value
            )

        return find


class TypedJson:
    """A decoder of JSON objects that keeps only the fields named here.

    Parameters
    ----------
    required
        Dotted paths that every record must have, with their type: `str`, `int`,
        `float`, `bool`, `list`, `dict`, or `object` for any. What is on the way to
        one must be an object.
    fields
        Dotted paths (case counts) of optional fields, of any type. A key that has the
        dots in its name (``{"a.b": 1}``) is found as well, at the top level.
    dotted_keys
        False where the source has no such keys: saves a tenth of the time.
    filled
        Those of `fields` that no object has and that the caller sets himself.
    """

    def __init__(
        self,
        required: Mapping[str, type],
        fields: Iterable[str],
        *,
        dotted_keys: bool = True,
        filled: Iterable[str] = (),
    ) -> None:
        self._root = _Node()
        fields = frozenset(fields)
        for path in sorted({*fields, *required}):
            self._root.add(path.split("."), required.get(path))
        optional = {path for path in fields if "." in path and path not in required}
        self._dotted = optional if dotted_keys else set()
        for path in sorted(self._dotted):
            self._root.add([path], None)
        self._paths = {*fields, *required}
        self._getters: dict[str, Getter] = {}
        self._parse = msgspec.json.Decoder(self._root.build()).decode
        self._narrow = self._root.narrow(filled)
        self._inside = [path for path in required if self._is_inside_whole(path)]
        self._required = dict(required)
        self._cells = {
            node.attr: Cell(name, msgspec.json.Decoder(node.type).decode, node.must())
            for name, node in self._root.children.items()
            if name.isascii()
        }
        self._checks = [
            Column(_decodes(attr), cell.key) for attr, cell in self._cells.items() if cell.required
        ]
        self._lexicon: Lexicon | None = None

    def decode(self, raw: bytes) -> Any:
        """Decode one JSON object, to be looked into with `getter` alone.

        Raises
        ------
        DecodeError
            Reason ``json`` (not JSON, or truncated), ``utf8``, ``nul`` or ``depth``.
        MappingError
            Reason ``missing_field`` or ``wrong_type``: not an object, or one that
            lacks what is required.
        """
        if not raw.isascii():
            _check_utf8(raw)
        try:
            record = self._parsed(raw)
        except (ValueError, RecursionError) as error:
            raise _explain(error, raw) from error
        for path in self._inside:
            self._check(record, path)
        return record

    def decode_many(self, raws: Sequence[bytes]) -> list[Any]:
        """Decode many objects; equal to `decode` of each, without its overhead for each.

        Raises
        ------
        ValueError, RecursionError, RecordError
            One of them cannot be decoded; `decode` says which and why.
        """
        if self._inside:
            return [self.decode(raw) for raw in raws]
        if not all(map(bytes.isascii, raws)):
            for raw in raws:
                if not raw.isascii():
                    _check_utf8(raw)
        narrow = self._narrow
        try:
            return list(map(narrow.parse, raws))
        except msgspec.ValidationError:
            narrow.learn(raws)
        return list(map(self._parse, raws))

    @property
    def seen(self) -> frozenset[str] | None:
        """Every top-level key of every object decoded so far, but in `records`; None: unknown."""
        return self._narrow.seen

    def ways(self, path: str) -> tuple[str, ...] | None:
        """Return the paths at which `getter` looks for `path`; None: at the whole event.

        An event has no value there if its top-level keys are neither one of the paths nor
        what one begins with, up to its first dot.
        """
        return (path,)

    def _parsed(self, raw: bytes) -> Any:
        """Parse one object."""
        try:
            return self._narrow.parse(raw)
        except msgspec.ValidationError:
            self._narrow.learn([raw])
        return self._parse(raw)

    def records(
        self, raws: Sequence[bytes], whole: str = "", kept: str = "", needed: Iterable[str] = ()
    ) -> Records | None:
        """Return objects as `Records`, or None where one of them is unusual.

        So are those that lack what is required, or have a key with dots that is looked for.

        Parameters
        ----------
        whole
            Attribute that is the bytes of the object, if any.
        kept
            Key whose values are wanted end to end; always the same.
        needed
            Keys whose values must come again for this to pay; None where they do not.
        """
        if self._inside or len(self._cells) < len(self._root.children):
            return None  # then a value does not hang on its own key alone
        if self._lexicon is None:
            from schemas.columns.lexicon import Lexicon  # compiled code, which takes long to load

            self._lexicon = Lexicon(
                [cell.key for cell in self._cells.values() if cell.key not in self._dotted],
                self._dotted,
                kept,
            )
        spans = self._lexicon.scan(raws) if self._lexicon.pays(len(raws), needed) else None
        if spans is None:
            return None
        found = Records(spans, self._cells, whole)
        try:
            for column in self._checks:
                found.numbers(column)
        except (ValueError, RecursionError):
            return None
        return found

    def getter(self, path: str) -> Getter:
        """Return a function from what `decode` returned to the value at the dotted `path`.

        The value is as in `walk`: None where there is none, a flat list of values
        where the path goes through a list.

        Raises
        ------
        KeyError
            `path` was not among the fields that this decoder was made for.
        """
        if path not in self._paths:
            raise KeyError(f"expected one of the {len(self._paths)} decoded fields, found {path!r}")
        if path not in self._getters:
            self._getters[path] = self._make(path)
        return self._getters[path]

    def _is_inside_whole(self, path: str) -> bool:
        """Say whether the parser leaves the check of a required `path` to us."""
        node, inside = self._root, False
        for name in path.split("."):
            inside = inside or node.whole
            node = node.children[name]
        return inside

    def _check(self, record: Any, path: str) -> None:
        value = self.getter(path)(record)
        if value is None:
            raise MappingError("missing_field", f"Object missing required field `{path}`")
        try:
            msgspec.convert(value, self._required[path])
        except msgspec.ValidationError as error:
            raise MappingError("wrong_type", f"{error} - at `$.{path}`") from error

    def _make(self, path: str) -> Getter:
        literal = self._root.children[path].attr if path in self._dotted else ""
        return self._root.getter(path.split("."), literal)


def _decodes(attr: str) -> Getter:
    """Return a function that gives 1, or raises where an attribute cannot be decoded."""
    return lambda event: (getattr(event, attr), 1)[1]


def attribute(name: str) -> str:
    """Return the attribute of a decoded object that holds its key `name`."""
    if name.isidentifier() and not name.startswith("_") and not keyword.iskeyword(name):
        return name
    return "_" + name.encode(errors="surrogatepass").hex()


def _check_utf8(raw: bytes) -> None:
    """Refuse what the parser would not see in fields that it skips."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(
            "utf8", f"expected JSON in UTF-8, found byte {raw[error.start]:#x} at {error.start}"
        ) from error


def _explain(error: Exception, raw: bytes) -> RecordError:
    if isinstance(error, RecursionError):
        return DecodeError("depth", "expected JSON nested less deep than the parser can follow")
    if 0 in raw:
        return DecodeError("nul", f"expected JSON text, found a NUL byte at {raw.index(0)}")
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return DecodeError("json", f"expected one JSON object, found {len(raw)} bytes: {text}")
    if "missing required" in text:
        return MappingError("missing_field", text)
    return MappingError("wrong_type", text)
