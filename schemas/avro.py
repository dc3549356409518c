"""Avro: encode and decode the records of ``*.avsc``."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from sentinel.errors import SchemaError

HERE = Path(__file__).parent
MAGIC = b"\xc3\x01"


@cache
def schema(name: str) -> Any:
    """Return the parsed schema of ``<name>.avsc``."""
    return fastavro.parse_schema(json.loads((HERE / f"{name}.avsc").read_text()))


@cache
def _header(name: str) -> bytes:
    """Single-object encoding header: magic and the CRC-64-AVRO fingerprint, little-endian."""
    text = to_parsing_canonical_form(schema(name))
    return MAGIC + bytes.fromhex(fingerprint(text, "CRC-64-AVRO"))


def encode(name: str, record: dict[str, Any]) -> bytes:
    """Encode `record` with the schema `name`, as an Avro single object."""
    out = io.BytesIO(_header(name))
    out.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(out, schema(name), record)
    return out.getvalue()


def decode(name: str, data: bytes) -> dict[str, Any]:
    """Decode what `encode` wrote; raise `SchemaError` where it is not that."""
    header = _header(name)
    if data[: len(header)] != header:
        raise SchemaError(
            f"expected an Avro single object of schema {name!r} ({header.hex()}), "
            f"found {data[:10].hex() or 'nothing'}; is the writer of another version?"
        )
    try:
        record = fastavro.schemaless_reader(io.BytesIO(data[len(header) :]), schema(name), None)
    except (EOFError, IndexError, ValueError, UnicodeDecodeError) as error:
        raise SchemaError(f"expected a whole {name!r} record, found a broken one: {error}") from error
    return record  # type: ignore[return-value]
