"""Avro: encode and decode the records of ``*.avsc``.

A record is preceded by what identifies its schema: the 64-bit fingerprint of Avro
single-object encoding, or, once `configure` was given a schema registry, the magic
byte and 4-byte id of Confluent's wire format. A record of another version is read as
far as Avro's schema resolution goes: one in ``released/``, or one the registry knows.

The work is done by generated code (`schemas._codegen`), so a schema must be of the
kinds that code is generated for; fastavro is the reference and reads other versions.
Which of the two does what is a measurement: CPU time of fastavro 1.13 divided by that
of the generated code was, for writing, 1.9 (signal_batch, 30 signals), 1.9 (alert) and
3 to 9 (event_batch of 1 to 500 events); for reading 0.75, 0.75 and 1.2 to 1.35. So
fastavro reads the first two.
"""

from __future__ import annotations

import io
import json
import struct
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas import _codegen
from sentinel.errors import SchemaError

HERE = Path(__file__).parent
SINGLE_OBJECT = b"\xc3\x01"
CONFLUENT = b"\x00"

#: Schemas whose records fastavro reads faster than generated code.
_FASTAVRO_READS = frozenset({"signal_batch", "alert"})

#: What fastavro raises on bytes that follow no schema.
_BROKEN = (
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    fastavro.read.SchemaResolutionError,
)

Record = dict[str, Any]


class Registry(Protocol):
    """A schema registry, as `configure` needs it; both calls may go over the network."""

    def id_of(self, name: str, schema: str) -> int:
        """Return the id under which the JSON `schema` of `name` is registered."""

    def schema_of(self, schema_id: int) -> str:
        """Return the JSON schema of an id; raise LookupError where there is none."""


class _Codec(NamedTuple):
    """All that one schema needs."""

    schema: Any
    head: bytes
    code: _codegen.Codec


_registry: Registry | None = None


def configure(registry: Registry | None) -> None:
    """Use the wire format of `registry` from now on, or single objects; once, at start."""
    global _registry
    _registry = registry
    _codec.cache_clear()
    _writer_schema.cache_clear()


def names() -> list[str]:
    """Return the names of all schemas, sorted."""
    return sorted(path.stem for path in HERE.glob("*.avsc"))


def text(name: str) -> str:
    """Return ``<name>.avsc``."""
    return (HERE / f"{name}.avsc").read_text()


@cache
def schema(name: str) -> Any:
    """Return the parsed schema of ``<name>.avsc``."""
    return fastavro.parse_schema(json.loads(text(name)))


def encode(name: str, record: Record) -> bytes:
    """Encode `record` with the schema `name`; raise `SchemaError` where it does not fit."""
    codec = _codec(name)
    return codec.code.encode(record, codec.head)


def decode(name: str, data: bytes, *, views: bool = False) -> Record:
    """Decode what `encode` wrote, here or in another version.

    With `views`, values of type ``bytes`` may be views of `data` instead of copies.

    Raises
    ------
    SchemaError
        The bytes are cut off, broken, too many, or of a schema that is not known or
        cannot be read as `name`.
    """
    codec = _codec(name)
    size = len(codec.head)
    if not data.startswith(codec.head):
        return read(_other(name, data), data, size, codec.schema)
    if name in _FASTAVRO_READS:
        return read(codec.schema, data, size, None)
    record: Record = codec.code.decode(data, size, views=views)
    return record


def read(writer: Any, data: bytes, start: int, reader: Any) -> Record:
    """Read bytes of the schema `writer` from `start` on as `reader`, with fastavro.

    Raises
    ------
    SchemaError
        The bytes are not one whole record.
    """
    stream = io.BytesIO(data)
    stream.seek(start)
    try:
        record: Any = fastavro.schemaless_reader(stream, writer, reader)
    except _BROKEN as error:
        raise SchemaError(f"expected a whole record, found a broken one: {error!r}") from error
    if stream.tell() != len(data):
        raise SchemaError(f"expected {len(data)} bytes of record, found {stream.tell()}")
    return record  # type: ignore[no-any-return]


def _fingerprint(parsed: Any) -> bytes:
    """Return the header of a single object: magic and CRC-64-AVRO, little-endian."""
    canonical = to_parsing_canonical_form(parsed)
    return SINGLE_OBJECT + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


@cache
def _codec(name: str) -> _Codec:
    parsed = schema(name)
    if _registry is None:
        head = _fingerprint(parsed)
    else:
        head = CONFLUENT + struct.pack(">I", _registry.id_of(name, text(name)))
    return _Codec(parsed, head, _code(name))


@cache
def _code(name: str) -> _codegen.Codec:
    return _codegen.generate(schema(name))


def _other(name: str, data: bytes) -> Any:
    """Return the schema of a record that is not of the present one."""
    head = _codec(name).head
    if data[:1] != head[:1] or len(data) < len(head):
        raise SchemaError(
            f"expected a record of schema {name!r} (it starts with {head.hex()}), found "
            f"{data[:10].hex() or 'nothing'}; do writer and reader use the same schema registry?"
        )
    return _writer_schema(name, data[: len(head)])


@cache
def _writer_schema(name: str, head: bytes) -> Any:
    if _registry is None:
        return _released(name, head)
    (schema_id,) = struct.unpack(">I", head[1:])
    try:
        return fastavro.parse_schema(json.loads(_registry.schema_of(schema_id)))
    except LookupError as error:
        raise SchemaError(
            f"expected a schema id of {name!r}, found {schema_id}, which the registry does not know"
        ) from error


def _released(name: str, head: bytes) -> Any:
    for path in sorted((HERE / "released").glob(f"{name}.*.avsc")):
        parsed = fastavro.parse_schema(json.loads(path.read_text()))
        if _fingerprint(parsed) == head:
            return parsed
    raise SchemaError(
        f"expected a record of schema {name!r} or one of its released versions, found "
        f"fingerprint {head[2:].hex()}; upgrade this process before the one that writes"
    )
