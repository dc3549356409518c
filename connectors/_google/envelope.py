"""Cut a message into what Google sends: log entries and findings, in all their wrappings.

Understood: the answer of ``entries:list``, the body of a Pub/Sub push (``message.data`` in
base64), the answer of a Pub/Sub pull, the ``data`` of a CloudEvent, and entries alone.

Sources: Google Cloud, "Method: entries.list", "Receive messages with push subscriptions".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from connectors._json.envelope import Envelope
from sentinel.errors import DecodeError


class _Message(msgspec.Struct):
    data: str = ""


class _Received(msgspec.Struct):
    message: _Message


class _Push(msgspec.Struct):
    message: _Message | None = None
    receivedMessages: list[_Received] = []  # noqa: N815 - Google's spelling


_push: Final = msgspec.json.Decoder(_Push).decode


class GoogleEnvelope:
    """Cuts messages of one source.

    Parameters
    ----------
    lists, inner
        As for `Envelope`.
    """

    def __init__(self, lists: Sequence[str], inner: Sequence[str] = ()) -> None:
        self._envelope = Envelope(lists=lists, inner=inner)

    def cut(self, value: bytes) -> Iterable[bytes]:
        """Return the events of a message.

        Raises
        ------
        DecodeError
            Reason ``json`` or ``base64``.
        """
        if b'"message"' in value and (b'"subscription"' in value or b'"receivedMessages"' in value):
            return [event for data in _pushed(value) for event in self._envelope.cut(data)]
        return self._envelope.cut(value)


def _pushed(value: bytes) -> list[bytes]:
    """Return what the messages of Pub/Sub hold; `value` itself where it is none of its."""
    try:
        found = _push(value)
    except msgspec.ValidationError:
        return [value]
    except (ValueError, RecursionError) as error:
        raise DecodeError("json", f"expected a message of Pub/Sub, found: {error}") from error
    messages = [one.message for one in found.receivedMessages]
    messages += [found.message] if found.message is not None else []
    if not any(message.data for message in messages):
        return [value]
    try:
        return [base64.b64decode(message.data, validate=True) for message in messages]
    except (binascii.Error, ValueError) as error:
        raise DecodeError("base64", f"expected base64 in message.data, found: {error}") from error
