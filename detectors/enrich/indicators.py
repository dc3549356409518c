"""What an indicator is, how its value is spelled, and how long it stays worth something.

Decay is that of MISP's polynomial model: ``confidence * (1 - (age / lifetime)^(1 / speed))``,
nothing beyond the lifetime (Mokaddem et al., "Taxonomy driven indicator scoring in MISP
threat intelligence platforms", 2018). Lifetimes are ours, by how soon a thing of a kind has
another owner: an address changes hands in weeks, a domain after its registration ends, a
hash never. A feed's own expiry always goes before.
"""

from __future__ import annotations

import re
import socket
from ipaddress import ip_network
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from detectors.enrich.networks import packed_address

IP: Final = "ip"
DOMAIN: Final = "domain"
URL: Final = "url"
HASH: Final = "hash"
EMAIL: Final = "email"
KINDS: Final = (IP, DOMAIN, URL, HASH, EMAIL)
#: Days until an indicator that nobody confirms is worth nothing, and the speed of its decay:
#: below 1 it falls late, above 1 early.
LIFETIME: Final = {IP: 60, DOMAIN: 180, URL: 90, HASH: 0, EMAIL: 365}
SPEED: Final = {IP: 0.5, DOMAIN: 0.5, URL: 0.5, HASH: 1.0, EMAIL: 0.5}
CONFIDENCE: Final = 50
"""Confidence, of 100, of an indicator whose feed states none."""
DAY_S: Final = 86_400
MAX_VALUE: Final = 4096
"""Longest value, in characters."""
_HASH: Final = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}"
)
_NAME: Final = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}\Z"
)
#: Spellings that keep people from clicking: ``hxxp://evil[.]example``.
_FANGS: Final = (("[.]", "."), ("(.)", "."), ("[:]", ":"), ("[at]", "@"), ("hxxp", "http"))


class Indicator(NamedTuple):
    """One indicator of one feed.

    Attributes
    ----------
    kind
        One of `KINDS`. An ``ip`` is an address or a network, a ``domain`` stands for all names
        below it as well.
    value
        As `spelled` gives it.
    feed
        Name of the feed.
    confidence
        0 to 100.
    seen
        When it was last confirmed, seconds since the epoch; 0: not known, it does not decay.
    until
        When it expires by the feed's own word, seconds since the epoch; 0: never.
    name
        What it stands for: a campaign, a malware family, a list.
    labels
        The feed's own tags.
    """

    kind: str
    value: str
    feed: str
    confidence: int = CONFIDENCE
    seen: int = 0
    until: int = 0
    name: str = ""
    labels: tuple[str, ...] = ()


def score(kind: str, confidence: float, age_s: float) -> float:
    """Return what is left of a confidence after some seconds, 0 to 100.

    >>> [round(score("ip", 80, days * 86400)) for days in (0, 30, 59, 61)]
    [80, 60, 3, 0]
    >>> score("hash", 80, 10**9)
    80
    """
    lifetime = LIFETIME[kind] * DAY_S
    if not lifetime or age_s <= 0:
        return confidence
    if age_s >= lifetime:
        return 0.0
    return float(confidence * (1.0 - (age_s / lifetime) ** (1.0 / SPEED[kind])))


def refanged(value: str) -> str:
    """Return a value as it is meant.

    >>> refanged("hxxps://evil[.]example.com/a")
    'https://evil.example.com/a'
    """
    if "[" in value or "(" in value or value[:4].lower() == "hxxp":
        for fang, plain in _FANGS:
            value = value.replace(fang, plain)
    return value.strip()


def kind_of(value: str) -> str:
    """Return the kind that a value looks like; empty where it is none.

    >>> [kind_of(value) for value in ("192.0.2.0/24", "a.example.com", "http://a.b/c", "0" * 64)]
    ['ip', 'domain', 'url', 'hash']
    """
    if "://" in value:
        return URL
    if packed_address(value) is not None:
        return IP
    if value[:1].isdecimal() or ":" in value:
        try:
            ip_network(value, strict=False)
        except ValueError:
            pass
        else:
            return IP
    low = value.lower()
    if _HASH.fullmatch(low):
        return HASH
    if "@" in value:
        return EMAIL
    return DOMAIN if _NAME.match(low.strip(".").removeprefix("*.")) else ""


def spelled(kind: str, value: str) -> str:
    """Return a value as it is compared; empty where it is none of its kind.

    >>> spelled("domain", "*.Example.COM."), spelled("ip", "192.0.2.7/24")
    ('example.com', '192.0.2.0/24')
    >>> spelled("url", "HTTP://Example.com:80/a?b=1#c")
    'http://example.com/a?b=1'
    """
    if not value or len(value) > MAX_VALUE:
        return ""
    if kind == IP:
        if (raw := packed_address(value)) is not None:
            return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            return ""
        single = network.prefixlen == network.max_prefixlen
        return str(network.network_address) if single else str(network)
    if kind == URL:
        return url(value)
    low = value.strip().lower()
    if kind == DOMAIN:
        low = low.removeprefix("*.").strip(".")
    return low


def url(value: str) -> str:
    """Return a URL without fragment, default port and the slash of an empty path."""
    try:
        parts = urlsplit(value.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    scheme = parts.scheme.lower()
    host = f"[{host}]" if ":" in host else host
    where = (
        host if port is None or {"http": 80, "https": 443}.get(scheme) == port else f"{host}:{port}"
    )
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{where}{'' if parts.path == '/' and not query else parts.path}{query}"
