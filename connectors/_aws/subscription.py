"""What CloudWatch Logs sends to those who subscribe to a log group.

A message is JSON in gzip: ``{"messageType": "DATA_MESSAGE", "logEvents": [{"message": …}]}``.
Kinesis and Firehose carry those bytes; Lambda is handed them in base64, ``{"awslogs":
{"data": …}}``; records of Kinesis in a Lambda event have them in ``Records[].kinesis.data``,
those of Firehose in ``records[].data``. Several follow one another in files of Firehose.

Source: CloudWatch Logs User Guide, "Real-time processing of log data with subscriptions".
"""

from __future__ import annotations

import binascii
import zlib
from base64 import b64decode
from collections.abc import Iterator
from typing import Final

import msgspec

from sentinel.errors import DecodeError

MAX_UNPACKED: Final = 32 << 20
"""Bytes of a message unpacked; CloudWatch Logs packs at most some megabytes."""
_GZIP: Final = b"\x1f\x8b"
_KEYS: Final = (b'"awslogs"', b'"kinesis"', b'"records"', b'"logEvents"', b'"messageType"')


class _LogEvent(msgspec.Struct):
    message: str


class _Data(msgspec.Struct):
    data: str


class _Kinesis(msgspec.Struct):
    kinesis: _Data


class _Message(msgspec.Struct):
    """Any of them; ``messageType`` tells data from the test message when one subscribes."""

    awslogs: _Data | None = None
    Records: list[_Kinesis] | None = None
    records: list[_Data] | None = None
    messageType: str = ""  # noqa: N815 - CloudWatch's spelling
    logEvents: list[_LogEvent] | None = None  # noqa: N815


_decode: Final = msgspec.json.Decoder(_Message).decode


def messages(value: bytes) -> list[bytes] | None:
    """Return the log events in a message, or None where it is of another kind.

    Raises
    ------
    DecodeError
        Reason ``gzip`` or ``base64``: it says it is one, but cannot be unpacked.
    """
    if value.startswith(_GZIP):
        return [event for part in _unpacked(value) for event in messages(part) or (part,)]
    if value.lstrip()[:1] != b"{" or not any(key in value for key in _KEYS):
        return None
    try:
        found = _decode(value)
    except (ValueError, RecursionError):
        return None
    if found.messageType == "CONTROL_MESSAGE":
        return []
    if found.logEvents is not None:
        return [event.message.encode(errors="surrogatepass") for event in found.logEvents]
    packed = [found.awslogs] if found.awslogs else found.records
    if packed is None and found.Records is not None:
        packed = [each.kinesis for each in found.Records]
    if packed is None:
        return None
    return [event for each in packed for event in _opened(each.data)]


def _opened(data: str) -> list[bytes]:
    try:
        inner = b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError("base64", f"expected data in base64, found: {error}") from error
    found = messages(inner)
    return [inner] if found is None else found


def _unpacked(value: bytes) -> Iterator[bytes]:
    """Yield what is in gzip, each of several members on its own."""
    left = MAX_UNPACKED
    while value:
        unpack = zlib.decompressobj(wbits=31)
        try:
            part = unpack.decompress(value, left)
        except zlib.error as error:
            raise DecodeError("gzip", f"expected gzip, found: {error}") from error
        left -= len(part)
        if not unpack.eof:
            much = unpack.unconsumed_tail or left <= 0
            what = f"more than {MAX_UNPACKED} bytes in it" if much else "no end of it"
            raise DecodeError("gzip", f"expected gzip of a log message, found {what}")
        yield part
        value = unpack.unused_data
