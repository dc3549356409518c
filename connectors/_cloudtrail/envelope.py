"""Cut a message into CloudTrail records, each with its bytes exactly as they were."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from sentinel.errors import DecodeError


class _LogEvent(msgspec.Struct):
    """One entry of a CloudWatch Logs subscription."""

    message: str


class _Envelope(msgspec.Struct):
    """The top level of everything that is not a record itself."""

    Records: list[msgspec.Raw] | None = None
    detail: msgspec.Raw = msgspec.Raw()
    logEvents: list[_LogEvent] | None = None  # noqa: N815 - CloudWatch's spelling


_PLAIN: Final = b'{"eventVersion"'  # how CloudTrail starts every record
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
        return [bytes(record) for record in _parse(_array, value, [value])]
    # Nothing is parsed where no envelope's key occurs, which is every plain record.
    if not any(key in value for key in _KEYS):
        return (value,)
    envelope = _parse(_envelope, value, _Envelope())
    if envelope.Records is not None:
        return [bytes(record) for record in envelope.Records]
    if bytes(envelope.detail) not in (b"", b"null"):
        return (bytes(envelope.detail),)
    if envelope.logEvents is not None:
        return [entry.message.encode() for entry in envelope.logEvents]
    return (value,)


def _parse(parse: Any, value: bytes, otherwise: Any) -> Any:
    """Parse an envelope; `otherwise` where it is JSON of another shape: a record, or nothing."""
    try:
        return parse(value)
    except msgspec.ValidationError:
        return otherwise
    except (ValueError, RecursionError) as error:
        raise DecodeError(
            "depth" if isinstance(error, RecursionError) else "json",
            f"expected CloudTrail JSON (a record, Records, an array), "
            f"found {len(value)} bytes that do not parse: {error}",
        ) from error
