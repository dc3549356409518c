"""What the two halves of the compiler share: lines of Python, and Avro types looked up."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from schemas._codegen import wire

Schema = Any

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_KINDS = _PRIMITIVES | {"record", "error", "array", "map", "enum", "fixed"}
_LEAST = {"double": 8, "float": 4, "null": 0}
_DOUBLE, _FLOAT = struct.Struct("<d"), struct.Struct("<f")
_MAX_BLOCKS = 18  # CPython takes 20 nested ones


class Unsupported(Exception):  # noqa: N818  # says what, not that something broke
    """The schema has something that no code is generated for."""


class Source:
    """Lines of generated Python, and the names it uses."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {
            name: getattr(wire, name) for name in dir(wire) if name.startswith(("put_", "get_"))
        }
        self.scope |= {"TWO": wire.TWO, "strings": wire.Strings(), "longs": wire.Longs()}
        self.scope |= {"pack_double": _DOUBLE.pack, "unpack_double": _DOUBLE.unpack_from}
        self.scope |= {"pack_float": _FLOAT.pack, "unpack_float": _FLOAT.unpack_from}
        self.scope["string_of"] = self.scope["strings"].__getitem__
        self._depth = 0
        self._count = 0

    def line(self, text: str) -> None:
        """Add one line at the present indentation."""
        self.lines.append(" " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Indent what is added inside, below `head`."""
        self.line(head)
        self._depth += 1
        if self._depth > _MAX_BLOCKS:
            raise Unsupported(f"more than {_MAX_BLOCKS} nested blocks")
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self.line("pass")
        self._depth -= 1

    def name(self, stem: str = "v") -> str:
        """Return a name not used before."""
        self._count += 1
        return f"{stem}{self._count}"

    def const(self, value: Any) -> str:
        """Return a name for `value`."""
        name = self.name("k")
        self.scope[name] = value
        return name

    def compile(self, name: str) -> Any:
        """Return the function `name` that the lines define."""
        # The lines are made of names numbered here and of quoted names of fields of a
        # schema in this repository: no input gets into them.
        exec(compile("\n".join(self.lines), "<avro codec>", "exec"), self.scope)  # noqa: S102
        return self.scope[name]


class Types:
    """Looks up named types and says what a schema is."""

    def __init__(self) -> None:
        self._named: dict[str, Schema] = {}
        self._inside: list[str] = []

    def resolve(self, schema: Schema) -> tuple[str, Schema]:
        """Return the kind of `schema` and its definition."""
        if isinstance(schema, str):
            if schema in _PRIMITIVES:
                return schema, {"type": schema}
            return self.resolve(self._named[schema])
        if isinstance(schema, list):
            return "union", schema
        if "logicalType" in schema:
            raise Unsupported(f"logical type {schema['logicalType']}")
        kind = schema["type"]
        if not isinstance(kind, str) or kind not in _KINDS:
            return self.resolve(kind)
        if "name" in schema:
            self._named[schema["name"]] = schema
        return ("record" if kind == "error" else kind), schema

    @contextmanager
    def record(self, schema: Schema) -> Iterator[None]:
        """Note that the code for a record is being made: code cannot contain itself."""
        if schema["name"] in self._inside:
            raise Unsupported(f"{schema['name']} contains itself")
        self._inside.append(schema["name"])
        yield
        self._inside.pop()

    def nullable(self, union: Schema) -> tuple[int, Schema]:
        """Return the place of null in a union of two, and the other type."""
        kinds = [self.resolve(member)[0] for member in union]
        if len(union) != 2 or kinds.count("null") != 1:
            raise Unsupported(f"union of {', '.join(kinds)}")
        null = kinds.index("null")
        return null, union[1 - null]

    def least(self, schema: Schema) -> int:
        """Return the fewest bytes that a value takes."""
        kind, schema = self.resolve(schema)
        if kind == "record":
            with self.record(schema):
                return sum(self.least(field["type"]) for field in schema["fields"])
        if kind == "fixed":
            return int(schema["size"])
        return _LEAST.get(kind, 1)
