"""Generates ``read(data, at, view)``, which returns the value and where it ends."""

from __future__ import annotations

from collections.abc import Callable

from schemas._codegen.source import Schema, Source, Types, Unsupported


class Reader:
    """Turns a schema into the source of a function that reads its values."""

    def __init__(self) -> None:
        self.source = Source()
        self._types = Types()
        self._kinds: dict[str, Callable[[Schema, str], None]] = {
            "null": lambda _, target: self.source.line(f"{target} = None"),
            "boolean": lambda _, target: self.source.line(f"{target} = data[at] != 0; at += 1"),
            "int": lambda _, target: self._number(target, "get_int"),
            "long": lambda _, target: self._number(target, "get_long"),
            "float": lambda _, target: self._unpack(target, "unpack_float", 4),
            "double": lambda _, target: self._unpack(target, "unpack_double", 8),
            "bytes": lambda _, target: self._sized(target, "", "view"),
            "string": lambda _, target: self._sized(target, ".decode()"),
            "fixed": lambda schema, target: self._content(target, str(schema["size"]), ""),
            "enum": self._enum,
            "record": self._record,
            "union": self._union,
            "array": self._items,
            "map": self._items,
        }

    def function(self, schema: Schema) -> None:
        """Generate ``read(data, at, view)``; values of ``bytes`` are cut out of `view`."""
        with self.source.block("def read(data, at, view):"):
            self._read(schema, "value")
            self.source.line("return value, at")

    def _read(self, schema: Schema, target: str) -> None:
        kind, schema = self._types.resolve(schema)
        self._kinds[kind](schema, target)

    def _number(self, target: str, function: str) -> None:
        """Read a number, in place where it is a single byte."""
        line = self.source.line
        with self.source.block(f"if ({target} := data[at]) < 128:"):
            line(f"{target} = ({target} >> 1) ^ -({target} & 1); at += 1")
        with self.source.block("else:"):
            line(f"{target}, at = {function}(data, at)")

    def _unpack(self, target: str, function: str, size: int) -> None:
        self.source.line(f"({target},) = {function}(data, at); at += {size}")

    def _sized(self, target: str, convert: str, of: str = "data") -> None:
        """Read what has its length in front; one byte of it is the common case."""
        size = self.source.name()
        with self.source.block(f"if ({size} := data[at]) & 129:"):
            self.source.line(f"{size}, at = get_size(data, at)")
        with self.source.block("else:"):
            self.source.line(f"{size} >>= 1; at += 1")
        self._content(target, size, convert, of)

    def _content(self, target: str, size: str, convert: str, of: str = "data") -> None:
        """Read `size` bytes, without looking whether they are there.

        Past the end slices are short, indexing and unpacking fail, and the decoder
        compares the place where the value ended with the length of the data.
        """
        start = self.source.name()
        self.source.line(f"at = ({start} := at) + {size}")
        self.source.line(f"{target} = {of}[{start}:at]{convert}")

    def _enum(self, schema: Schema, target: str) -> None:
        symbols = self.source.const(tuple(schema["symbols"]))
        place = self.source.name()
        self.source.line(f"{place}, at = get_index(data, at, {len(schema['symbols'])})")
        self.source.line(f"{target} = {symbols}[{place}]")

    def _record(self, schema: Schema, target: str) -> None:
        parts = []
        with self._types.record(schema):
            for field in schema["fields"]:
                name = self.source.name()
                self._read(field["type"], name)
                parts.append(f"{field['name']!r}: {name}")
        self.source.line(f"{target} = {{{', '.join(parts)}}}")

    def _union(self, union: Schema, target: str) -> None:
        null, other = self._types.nullable(union)
        place = self.source.name()
        self.source.line(f"{place}, at = get_index(data, at, 2)")
        with self.source.block(f"if {place} == {null}:"):
            self.source.line(f"{target} = None")
        with self.source.block("else:"):
            self._read(other, target)

    def _items(self, schema: Schema, target: str) -> None:
        """Read the blocks of an array or a map."""
        is_map = schema["type"] == "map"
        inner = schema["values" if is_map else "items"]
        least = self._types.least(inner) + is_map
        if not least:  # a few bytes could then declare any number of them
            raise Unsupported("array of items that take no bytes")
        count, item, add = self.source.name(), self.source.name(), self.source.name()
        self.source.line(f"{target} = {'{}' if is_map else '[]'}")
        if not is_map:
            self.source.line(f"{add} = {target}.append")
        with self.source.block("while True:"):
            self.source.line(f"{count}, at = get_count(data, at, {least})")
            with self.source.block(f"if not {count}:"):
                self.source.line("break")
            with self.source.block(f"for _ in range({count}):"):
                if is_map:
                    key = self.source.name()
                    self._sized(key, ".decode()")
                    self._read(inner, item)
                    self.source.line(f"{target}[{key}] = {item}")
                else:
                    self._read(inner, item)
                    self.source.line(f"{add}({item})")
