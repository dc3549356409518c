"""Where the addresses of a batch are, as arrays for compiled loops.

Events do not carry places; models look addresses up where someone gives them a `Locate`, such
as ``detectors.enrich.geo.Geo(…).find`` over the databases of the folder of look-ups. Without
one every address is nowhere, and models fall back to the addresses themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.online.hashing import hash_texts

#: Returns for each address an object with ``country, lat, long, asn, radius_km, flags``, of
#: the meaning of `detectors.enrich.geo.Place`.
Locate = Callable[[Sequence[str]], Sequence[Any]]

#: Uses of an address that say nothing about where the person is.
RELAYS = frozenset(
    {"anonymous", "anonymous_vpn", "hosting_provider", "public_proxy", "residential_proxy",
     "tor_exit_node"}
)  # fmt: skip
#: Databases that say no accuracy are taken to be right to within a city and its surroundings.
DEFAULT_RADIUS_KM = 50.0
#: Leading bits that say whose network an address is in, roughly: what one allocation covers.
V4_BITS, V6_BITS = 16, 32


def nowhere(addresses: Sequence[str]) -> list[None]:
    """Know no place."""
    return [None] * len(addresses)


class Located(NamedTuple):
    """What is known of each distinct address.

    Attributes
    ----------
    degrees
        float64[n, 2], latitude and longitude; NaN where not known.
    radius
        float64[n], km within which the place is right.
    owner
        uint64[n], a hash of the autonomous system, 0 where not known.
    network
        uint64[n], a hash of the address's network, 0 for what is no address.
    relay
        bool[n], whether it is a VPN, proxy, Tor exit or a hosting provider's.
    """

    degrees: NDArray[np.float64]
    radius: NDArray[np.float64]
    owner: NDArray[np.uint64]
    network: NDArray[np.uint64]
    relay: NDArray[np.bool_]


def countries(addresses: Sequence[str], locate: Locate) -> list[str]:
    """Return the country of each address, empty where it is not known."""
    if locate is nowhere:
        return [""] * len(addresses)
    return [getattr(place, "country", "") or "" for place in locate(addresses)]


def located(addresses: Sequence[str], locate: Locate) -> Located:
    """Return what is known of each address."""
    count = len(addresses)
    networks = np.fromiter(map(_network_hash, addresses), np.uint64, count)
    degrees, radius = np.full((count, 2), np.nan), np.full(count, DEFAULT_RADIUS_KM)
    relay = np.zeros(count, np.bool_)
    if locate is nowhere:
        return Located(degrees, radius, np.zeros(count, np.uint64), networks, relay)
    owners = [""] * count
    for at, place in enumerate(locate(addresses)):
        if place is None:
            continue
        if place.lat is not None and place.long is not None:
            degrees[at] = place.lat, place.long
        if place.radius_km:
            radius[at] = place.radius_km
        owners[at] = f"AS{place.asn}" if place.asn else ""
        relay[at] = not RELAYS.isdisjoint(place.flags)
    return Located(degrees, radius, hash_texts(owners), networks, relay)


@lru_cache(maxsize=1 << 14)  # the same few come in every batch, and parsing takes 5 us
def _network_hash(address: str) -> int:
    """Return the hash of the network of an address, 0 for what is none."""
    return int(hash_texts([network(address)])[0])


def network(address: str) -> str:
    """Return the network of an address, empty for what is none.

    >>> network("203.0.113.9"), network("2001:db8:1::1"), network("s3.amazonaws.com")
    ('203.0/16', '20010db8/32', '')
    """
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if found.version == 4:
        first, second, *_ = found.packed
        return f"{first}.{second}/{V4_BITS}"
    return f"{found.packed[: V6_BITS // 8].hex()}/{V6_BITS}"
