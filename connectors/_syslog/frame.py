"""Syslog messages out of what a socket, file or relay hands on.

Framing is octet counting (RFC 6587 3.4.1: ``83 <34>1 …``) where a message begins with a
count that fits what follows, else one message a line (3.4.2). A line that begins with white
space goes on with the message before it, as macOS and Java write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_COUNT: Final = re.compile(rb"([1-9][0-9]{0,6}) (?=<)")


def messages(value: bytes) -> list[bytes]:
    """Return the messages of `value`, without their framing and without empty ones."""
    start = _COUNT.match(value)
    found = list(_counted(value)) if start and _fits(value, start) else list(_lines(value))
    return [message for message in found if message]


def _fits(value: bytes, start: re.Match[bytes]) -> bool:
    """Say whether a count ends where the message, or the next count, does."""
    end = start.end() + int(start[1])
    return end == len(value) or bool(_COUNT.match(value, end)) or value[end : end + 1] == b"\n"


def _counted(value: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(value):
        count = _COUNT.match(value, at)
        if count is None:
            yield from _lines(value[at:])  # somebody mixed both, which senders do on errors
            return
        end = count.end() + int(count[1])
        yield value[count.end() : end].rstrip(b"\n\0")
        at = end + (value[end : end + 1] == b"\n")


def _lines(value: bytes) -> Iterator[bytes]:
    whole = b""
    for line in value.split(b"\n"):
        line = line.rstrip(b"\r\0")
        if line[:1] in (b" ", b"\t") and whole:
            whole += b"\n" + line
            continue
        yield whole
        whole = line if line.strip() else b""
    yield whole
