"""Pages that name the next one in a ``Link`` header (RFC 8288), as Okta and GitHub do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from connectors._reading.base import SourceError
from connectors._reading.polling.api import Answer

_LINK: Final = re.compile(r'<([^<>]{1,8192})>((?:\s*;\s*[^,;"]+(?:"[^"]*")?)*)')
_list: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(list[msgspec.Raw])


def next_link(headers: Mapping[str, str]) -> str:
    """Return the address of the next page; empty: there is none.

    >>> next_link({"link": '<https://a/x>; rel="self", <https://a/y?after=1>; rel="next"'})
    'https://a/y?after=1'
    """
    for address, parameters in _LINK.findall(headers.get("link", "")):
        if 'rel="next"' in parameters or "rel=next" in parameters:
            return str(address)
    return ""


def pages(
    get: Callable[[str, Mapping[str, str] | None], Answer], url: str, params: Mapping[str, str]
) -> Iterator[list[bytes]]:
    """Yield the items of each page, as they are, from the one at `url` on.

    The next page must be at the same host, as the token goes nowhere else, and not one that
    was there before.

    Raises
    ------
    SourceError
        A page that is no JSON array, a link that leads elsewhere or in a circle; and what
        `get` raises.
    """
    own = urlsplit(url)
    asked: Mapping[str, str] | None = params
    seen: set[str] = set()
    at = url
    while at:
        answer = get(at, asked)
        items = [bytes(raw) for raw in answer.as_type(_list, f"GET {own.path}")]
        yield items
        at, asked = (next_link(answer.headers) if items else ""), None
        other = urlsplit(at)
        if at and ((own.scheme, own.netloc) != (other.scheme, other.netloc) or at in seen):
            raise SourceError(f"expected another page at {own.netloc}, found {at[:200]}")
        seen.add(at)
