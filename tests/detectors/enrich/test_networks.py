"""The smallest network of an address, against Python's own `ipaddress`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.enrich.networks import NONE, Networks, packed_address

# Few different bytes, so that networks nest and addresses hit them.
BYTE = st.sampled_from([0, 1, 2, 127, 128, 255])
V4 = st.builds(lambda *b: ".".join(map(str, b)), BYTE, BYTE, BYTE, BYTE)
V6 = st.builds(lambda a, b: f"2001:db8:{a:x}::{b:x}", BYTE, BYTE) | st.just("::")
NETWORK = st.builds(lambda a, n: str(ip_network(f"{a}/{n}", strict=False)), V4, st.integers(0, 32))
NETWORK6 = st.builds(
    lambda a, n: str(ip_network(f"{a}/{n}", strict=False)), V6, st.integers(0, 128)
)


@settings(max_examples=60)
@given(st.lists(NETWORK | NETWORK6 | V4 | V6, max_size=25), st.lists(V4 | V6, max_size=25))
def test_finds_every_network_around_an_address_smallest_first(
    networks: list[str], addresses: list[str]
) -> None:
    found = Networks(networks)
    places = found.find(addresses)

    for address, first in zip(addresses, places.tolist(), strict=True):
        chain, place = [], first
        while place != NONE:
            chain.append(place)
            place = int(found.around[place])
        inside = {
            ip_network(each)
            for each in networks
            if ip_network(each).version == ip_address(address).version
            and ip_address(address) in ip_network(each)
        }
        expected = sorted(inside, key=lambda each: -each.prefixlen)
        numbers = [
            networks.index(next(n for n in networks if ip_network(n) == e)) for e in expected
        ]
        assert chain == [int(found.places[number]) for number in numbers]


@given(st.text(max_size=30))
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    found = Networks(["0.0.0.0/0", "::/0"]).find([text])

    assert (found[0] == NONE) == (packed_address(text) is None)


def test_what_is_no_network_is_counted() -> None:
    found = Networks(["192.0.2.0/33", "x", "192.0.2.1", "192.0.2.9/24"])

    assert (found.refused, found.places.tolist()) == (2, [NONE, NONE, 0, 1])


def test_ipv4_in_the_spelling_of_ipv6_is_ipv4() -> None:
    assert Networks(["192.0.2.0/24"]).find(["::ffff:192.0.2.7", "::192.0.2.7"]).tolist() == [
        0,
        NONE,
    ]
