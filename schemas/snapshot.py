"""Snapshots: a kind, a version and named values, as MessagePack; arrays as their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from sentinel.errors import SchemaError

_ARRAY = 1


def pack(kind: str, version: int, values: Mapping[str, Any]) -> bytes:
    """Encode a snapshot; `values` may nest mappings, lists, bytes, numbers and arrays."""
    return msgspec.msgpack.encode([kind, version, dict(values)], enc_hook=_encode)


def unpack(kind: str, version: int, data: bytes) -> dict[str, Any]:
    """Decode what `pack` wrote; arrays come back writable.

    Raises
    ------
    SchemaError
        The bytes are of another kind or version, or broken.
    """
    try:
        found = msgspec.msgpack.decode(data, ext_hook=_decode)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise SchemaError(f"expected a snapshot of {kind}, found broken bytes: {error}") from error
    if not isinstance(found, list) or len(found) != 3 or found[:2] != [kind, version]:
        head = found[:2] if isinstance(found, list) else type(found).__name__
        raise SchemaError(
            f"expected a snapshot of {kind} version {version}, found {head}; "
            "start without it and replay, or run the version that wrote it"
        )
    values = found[2]
    if not isinstance(values, dict):
        raise SchemaError(f"expected named values in a snapshot of {kind}, found {values!r:.80}")
    return values


def _encode(value: Any) -> Any:
    """Turn an array into an extension: dtype, shape and bytes."""
    if isinstance(value, np.ndarray):
        body = msgspec.msgpack.encode([value.dtype.str, list(value.shape), value.tobytes()])
        return msgspec.msgpack.Ext(_ARRAY, body)
    raise NotImplementedError(f"a snapshot cannot hold {type(value).__name__}")


def _decode(code: int, body: memoryview) -> Any:
    """Turn the extension back into an array."""
    if code != _ARRAY:
        raise ValueError(f"unknown extension {code}")
    dtype, shape, data = msgspec.msgpack.decode(body, type=tuple[str, list[int], bytes])
    return np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape).copy()
