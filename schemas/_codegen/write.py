"""Generates ``write(value, head)``, which returns the encoding in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas._codegen import wire
from schemas._codegen.source import Schema, Source, Types

#: Expressions whose values, one after the other, are the encoding; None: needs statements.
Pieces = list[str] | None


class Writer:
    """Turns a schema into the source of a function that writes its values."""

    def __init__(self) -> None:
        self.source = Source()
        self._types = Types()
        self._scalars: dict[str, Callable[[str, Schema], list[str]]] = {
            "null": lambda _value, _schema: [],
            "boolean": lambda value, _: [f"(b'\\1' if {value} else b'\\0')"],
            "int": lambda value, _: [self._number(value, "put_int")],
            "long": self._long,
            "float": lambda value, _: [f"pack_float({value})"],
            "double": lambda value, _: [f"pack_double({value})"],
            "string": lambda value, _: [f"strings[{value}]"],
            "bytes": self._bytes,
            "fixed": self._fixed,
            "enum": self._enum,
        }

    def function(self, schema: Schema) -> None:
        """Generate ``write(value, head)``, which puts the bytes `head` in front."""
        with self.source.block("def write(value, head):"):
            self.source.line("out = [head]")
            self._statements(schema, "value")
            self.source.line("return out")

    def _statements(self, schema: Schema, value: str) -> None:
        """Generate what appends the encoding of the expression `value` to ``out``."""
        pieces = self._pieces(schema, value)
        if pieces is not None:
            self._append(pieces)
            return
        kind, schema = self._types.resolve(schema)
        name = self.source.name()
        self.source.line(f"{name} = {value}")
        if kind == "record":
            self._record(schema, name)
        elif kind == "union":
            self._union(schema, name)
        else:
            self._items(kind, schema, name)

    def _append(self, pieces: list[str]) -> None:
        if pieces:
            self.source.line(f"out += ({', '.join(pieces)},)")

    def _pieces(self, schema: Schema, value: str) -> Pieces:
        kind, schema = self._types.resolve(schema)
        if kind in self._scalars:
            return self._scalars[kind](value, schema)
        if kind == "array" and self._types.resolve(schema["items"])[0] == "string":
            name = self.source.name()
            return [
                f"(put_long(len({name})) + b''.join(map(string_of, {name})) + b'\\0' "
                f"if ({name} := {value}) else b'\\0')"
            ]
        return None

    def _record(self, schema: Schema, name: str) -> None:
        """Append the fields, as many at once as are expressions."""
        waiting: list[str] = []
        with self._types.record(schema):
            for field in schema["fields"]:
                value = self._field(field, name)
                pieces = self._pieces(field["type"], value)
                if pieces is None:
                    self._append(waiting)
                    waiting = []
                    self._statements(field["type"], value)
                else:
                    waiting += pieces
        self._append(waiting)

    def _field(self, field: Schema, name: str) -> str:
        if "default" in field:
            return f"{name}.get({field['name']!r}, {self.source.const(field['default'])})"
        return f"{name}[{field['name']!r}]"

    def _union(self, union: Schema, name: str) -> None:
        null, other = self._types.nullable(union)
        with self.source.block(f"if {name} is None:"):
            self.source.line(f"out.append({wire.TWO[2 * null]!r})")
        with self.source.block("else:"):
            self.source.line(f"out.append({wire.TWO[2 - 2 * null]!r})")
            self._statements(other, name)

    def _items(self, kind: str, schema: Schema, name: str) -> None:
        item = self.source.name()
        with self.source.block(f"if {name}:"):
            self.source.line(f"out.append(put_long(len({name})))")
            if kind == "array":
                head, inner = f"for {item} in {name}:", schema["items"]
            else:
                key = self.source.name()
                head, inner = f"for {key}, {item} in {name}.items():", schema["values"]
            with self.source.block(head):
                if kind == "map":
                    self.source.line(f"out.append(strings[{key}])")
                self._statements(inner, item)
        self.source.line("out.append(b'\\0')")

    def _number(self, value: str, function: str) -> str:
        name = self.source.name()
        return f"(TWO[{name} << 1] if 0 <= ({name} := {value}) < 8192 else {function}({name}))"

    def _long(self, value: str, _: Any) -> list[str]:
        name = self.source.name()
        large = f"longs[{name}] if {name}.__class__ is int else put_long({name})"
        return [f"(TWO[{name} << 1] if 0 <= ({name} := {value}) < 8192 else {large})"]

    def _bytes(self, value: str, _: Any) -> list[str]:
        raw = self.source.name()
        plain = f"(put_long(len({raw})), {raw})"
        return [f"*({plain} if ({raw} := {value}).__class__ is bytes else put_parts({raw}))"]

    def _fixed(self, value: str, schema: Schema) -> list[str]:
        name, size = self.source.name(), schema["size"]
        fits = f"({name} := {value}).__class__ is bytes and len({name}) == {size}"
        return [f"({name} if {fits} else put_fixed({name}, {size}))"]

    def _enum(self, value: str, schema: Schema) -> list[str]:
        table = {symbol: wire.put_int(at) for at, symbol in enumerate(schema["symbols"])}
        return [f"{self.source.const(table)}[{value}]"]
