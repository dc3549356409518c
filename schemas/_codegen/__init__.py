"""Compile an Avro schema to Python: one function that writes it, one that reads it.

Generated for the types that Sentinel's schemas use: records, arrays, maps, enums,
fixed, all primitives and unions of null with one other type; `generate` raises
`Unsupported` for anything else. Bytes are the same as those of fastavro, the reference,
and values read are equal (tests/schemas/test_codegen.py). Bytes that follow no schema
give `SchemaError`, in time and memory bounded by their length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from schemas._codegen.read import Reader
from schemas._codegen.source import Schema, Unsupported
from schemas._codegen.write import Writer
from sentinel.errors import SchemaError

__all__ = ["Codec", "Unsupported", "generate"]

_MISFITS = (TypeError, LookupError, ValueError, AttributeError, ArithmeticError, struct.error)


class Codec(NamedTuple):
    """Generated functions of one schema.

    Attributes
    ----------
    encode
        From a value, and bytes to put in front, to all bytes; raises `SchemaError`
        where the value does not fit.
    decode
        From bytes and the place to start to the value, which must fill the rest;
        raises `SchemaError` where it does not. Values of type ``bytes`` are copies, or, if
        asked for, views.
    source
        The generated Python.
    """

    encode: Callable[[Any, bytes], bytes]
    decode: Callable[..., Any]
    source: str


def generate(schema: Schema) -> Codec:
    """Compile a schema that `fastavro.parse_schema` returned.

    Raises
    ------
    Unsupported
        The schema has logical types, contains itself, has unions other than with null,
        or arrays of what takes no bytes.
    """
    writer, reader = Writer(), Reader()
    writer.function(schema)
    reader.function(schema)
    return Codec(
        _encoder(writer.source.compile("write")),
        _decoder(reader.source.compile("read")),
        "\n".join([*writer.source.lines, *reader.source.lines]),
    )


def _encoder(write: Callable[[Any, bytes], list[bytes]]) -> Callable[[Any, bytes], bytes]:
    def encode(value: Any, head: bytes) -> bytes:
        try:
            return b"".join(write(value, head))
        except _MISFITS as error:
            raise SchemaError(
                f"expected a value that fits the schema, found one that does not: {error!r}"
            ) from error

    return encode


def _decoder(read: Callable[[bytes, int, Any], tuple[Any, int]]) -> Callable[..., Any]:
    def decode(data: bytes, at: int, *, views: bool = False) -> Any:
        try:
            value, end = read(data, at, memoryview(data) if views else data)
        except (IndexError, OverflowError, UnicodeDecodeError, struct.error) as error:
            raise SchemaError(f"expected a whole record, found a broken one: {error!r}") from error
        if end != len(data):
            raise SchemaError(f"expected {len(data)} bytes of record, found {end}")
        return value

    return decode
