"""Cut a message into CloudTrail records, each with its bytes exactly as they were."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from connectors._json.envelope import parsed


class _LogEvent(msgspec.Struct):
    """One entry of a CloudWatch Logs subscription."""

    message: str


class _Envelope(msgspec.Struct):
    """The top level of everything that is not a record itself."""

    Records: list[msgspec.Raw] | None = None
    detail: msgspec.Raw = msgspec.Raw()
    logEvents: list[_LogEvent] | None = None  # noqa: N815 - CloudWatch's spelling


_PLAIN: Final = b'{"eventVersion"'  # how CloudTrail starts every record
_WHAT: Final = "CloudTrail JSON (a record, Records, an array)"
_KEYS: Final = (b'"Records"', b'"detail"', b'"logEvents"')
_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def records(value: bytes) -> Iterable[bytes]:
    """Return the records of an envelope or an array, or the message itself.

    Raises
    ------
    DecodeError
        Reason ``json`` or ``depth``: an envelope or array that does not parse.
    """
    if value.startswith(_PLAIN):
        return (value,)
    if value.lstrip()[:1] == b"[":
        return [bytes(record) for record in parsed(_array, value, [value], _WHAT)]
    # Nothing is parsed where no envelope's key occurs, which is every plain record.
    if not any(key in value for key in _KEYS):
        return (value,)
    envelope = parsed(_envelope, value, _Envelope(), _WHAT)
    if envelope.Records is not None:
        return [bytes(record) for record in envelope.Records]
    if bytes(envelope.detail) not in (b"", b"null"):
        return (bytes(envelope.detail),)
    if envelope.logEvents is not None:
        return [entry.message.encode() for entry in envelope.logEvents]
    return (value,)
