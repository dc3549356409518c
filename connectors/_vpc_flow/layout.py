r"""Lines of flow logs: which words they have, and what each is called.

Files in S3 begin with a header line that names the words; so does every unit here that is not
of the default format: ``header\nline``. In CloudWatch Logs there is no header, and only the
default format can be told.

Source: VPC User Guide, "Flow log records" (fields of versions 2 to 10); Transit Gateway guide,
"Transit Gateway Flow Log records".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sentinel.errors import DecodeError

#: The default format, version 2.
DEFAULT: Final = (
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport"),
    *("protocol", "packets", "bytes", "start", "end", "action", "log-status"),
)
MAX_BYTES: Final = 16_384
"""Longest line with its header; AWS's longest formats take 2 KiB."""
_MEMO: Final = 256
#: Words that some header of a flow log has and that no line consists of.
_TELLING: Final = frozenset(
    {b"version", b"srcaddr", b"interface-id", b"log-status", b"account-id", b"pkt-srcaddr"}
)
#: What Sigma calls them in rules for firewalls and network connections.
ALIASES: Final = {
    "src_ip": "srcaddr",
    "dst_ip": "dstaddr",
    "src_port": "srcport",
    "dst_port": "dstport",
    "SourceIp": "srcaddr",
    "DestinationIp": "dstaddr",
    "SourcePort": "srcport",
    "DestinationPort": "dstport",
}


#: What `connectors.vpc_flow` makes columns of, in the order of `Layout.core`.
CORE: Final = (
    *("pkt-srcaddr", "srcaddr", "interface-id", "instance-id", "flow-direction"),
    *("start", "action", "log-status", "protocol", "dstport", "region"),
)


class Layout(NamedTuple):
    """Where each word of a format is.

    Attributes
    ----------
    places
        By name.
    core
        Of `CORE`; -1 for those that the format lacks.
    """

    places: Mapping[str, int]
    core: tuple[int, ...]


class Flow(NamedTuple):
    """One line: its words, one empty word after the last, and where each is."""

    words: list[str]
    layout: Layout

    @property
    def places(self) -> Mapping[str, int]:
        """Where each word is, by its name."""
        return self.layout.places

    def get(self, name: str) -> str:
        """Return a word by the name AWS has for it; empty where the line has none."""
        word = self.words[self.layout.places.get(name, -1)]
        return "" if word == "-" else word


def _layout(names: Sequence[str]) -> Layout:
    places = {name: place for place, name in enumerate(names)}
    return Layout(places, tuple(places.get(name, -1) for name in CORE))


_default: Final = _layout(DEFAULT)
_known: dict[bytes, Layout] = {}


def is_header(line: bytes) -> bool:
    """Return whether a line names words instead of being some.

    >>> is_header(b"version account-id action"), is_header(b"2 123456789012 eni-1 ACCEPT")
    (True, False)
    """
    words = line.replace(b"_", b"-").split()
    return len(words) > 1 and words[0].isascii() and not _TELLING.isdisjoint(words)


def decode(unit: bytes) -> Flow:
    """Read a line of the default format, or a header and one line.

    Raises
    ------
    DecodeError
        Reason ``too_large``, ``utf8``, ``header`` or ``fields``.
    """
    if len(unit) > MAX_BYTES:
        raise DecodeError(
            "too_large",
            f"expected a line of a flow log of at most {MAX_BYTES} bytes, found {len(unit)}",
        )
    header, newline, line = unit.rstrip().rpartition(b"\n")
    layout = _default
    if newline:
        layout = _known.get(header) or _read(header)
    try:
        words = line.decode().split()
    except UnicodeDecodeError as error:
        raise DecodeError("utf8", f"expected a line of a flow log, found: {error}") from error
    places = layout.places
    if len(words) != len(places):
        raise DecodeError(
            "fields",
            f"expected {len(places)} words ({' '.join(places)[:300]}), found {len(words)}; put "
            "the header line of the flow log's own format in front",
        )
    words.append("")
    return Flow(words, layout)


def _read(header: bytes) -> Layout:
    """Return where each word is, by a header line; remember it."""
    if not is_header(header) or b"\n" in header:
        raise DecodeError(
            "header",
            "expected one line of a flow log, or one below a header line, "
            f"found {header[:60]!r} above a line",
        )
    try:
        names = header.decode("ascii").replace("_", "-").split()
    except UnicodeDecodeError as error:
        raise DecodeError("header", f"expected names of fields, found: {error}") from error
    layout = _layout(names)
    if len(layout.places) != len(names):
        raise DecodeError("header", "expected each field once in a header, found one twice")
    if len(_known) >= _MEMO:
        _known.clear()
    _known[header] = layout
    return layout


def number(word: str, most: int) -> int | None:
    """Return a word as a number from 0 to `most`, or None where it is none."""
    if not word.isdecimal() or not word.isascii() or len(word) > 19:
        return None
    value = int(word)
    return value if value <= most else None


def value_of(flow: Any, name: str) -> Any:
    """Return a word as Sigma compares it: numbers as such."""
    word = flow.get(name)
    found = number(word, 2**63 - 1)
    return found if found is not None else word or None
