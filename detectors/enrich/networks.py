"""Networks by address: the longest prefix that an address is in, and those around it.

Networks are nested or disjoint, never crossed, so that they cut the line of all addresses
into segments with one most specific network each. A look-up is one binary search among the
starts of the segments, for a whole batch at once.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Final

import numpy as np
from numpy.typing import NDArray

NONE: Final = -1
_V4, _V6 = 4, 16
_STARTS: Final = {_V4: ">u4", _V6: "S16"}


class Networks:
    """Addresses and networks, each with a number.

    Parameters
    ----------
    networks
        Texts (``192.0.2.0/24``, ``2001:db8::1``); what is none is counted in `refused`. Equal
        ones may occur: they share a place.

    Attributes
    ----------
    places
        Place of each of `networks`, by its number; -1 where it was refused.
    around
        For each place, that of the next larger network that holds it; -1: none.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self.refused = 0
        found: dict[int, dict[tuple[int, int], int]] = {_V4: {}, _V6: {}}
        places: list[int] = []
        count = 0
        for text in networks:
            key = _parsed(text)
            if key is None:
                self.refused += 1
                places.append(NONE)
                continue
            width, start, size = key
            # Larger networks first where two begin together: they are around the smaller.
            place = found[width].setdefault((start, -size), count)
            count += place == count
            places.append(place)
        self.places = np.array(places, np.int32)
        self.around = np.full(count, NONE, np.int32)
        self._starts: dict[int, NDArray[np.generic]] = {}
        self._owners: dict[int, NDArray[np.int32]] = {}
        for width, networks_of in found.items():
            self._starts[width], self._owners[width] = self._cut(width, networks_of)

    def _cut(
        self, width: int, networks: dict[tuple[int, int], int]
    ) -> tuple[NDArray[np.generic], NDArray[np.int32]]:
        """Return where segments start, and the place of the network of each."""
        starts: list[int] = [0]
        owners: list[int] = [NONE]
        stack: list[tuple[int, int]] = []  # end and place of the networks that are open

        def close(until: int) -> None:
            while stack and stack[-1][0] <= until:
                end, _ = stack.pop()
                if end < 1 << 8 * width:
                    _put(starts, owners, end, stack[-1][1] if stack else NONE)

        for start, size in sorted(networks):
            close(start)
            place = networks[start, size]
            self.around[place] = stack[-1][1] if stack else NONE
            _put(starts, owners, start, place)
            stack.append((start - size, place))
        close(1 << 8 * width)
        packed = b"".join(start.to_bytes(width, "big") for start in starts)
        line = np.frombuffer(packed, _STARTS[width])
        return (line.astype(np.uint32) if width == _V4 else line), np.array(owners, np.int32)

    def find(self, addresses: Sequence[str]) -> NDArray[np.int32]:
        """Return the place of the smallest network of each address; -1: none, or no address.

        An IPv4 address in IPv6's spelling (``::ffff:192.0.2.1``) is one of IPv4.
        """
        found = np.full(len(addresses), NONE, np.int32)
        packed: dict[int, list[bytes]] = {_V4: [], _V6: []}
        rows: dict[int, list[int]] = {_V4: [], _V6: []}
        for row, text in enumerate(addresses):
            raw = packed_address(text)
            if raw is not None:
                packed[len(raw)].append(raw)
                rows[len(raw)].append(row)
        for width, raws in packed.items():
            if raws and self._owners[width].max() != NONE:
                line = np.frombuffer(b"".join(raws), _STARTS[width])
                asked = line.astype(np.uint32) if width == _V4 else line
                at = np.searchsorted(self._starts[width], asked, side="right") - 1
                found[rows[width]] = self._owners[width][at]
        return found

    @property
    def size(self) -> int:
        """Bytes in use."""
        arrays = [self.places, self.around, *self._starts.values(), *self._owners.values()]
        return sum(array.nbytes for array in arrays)


def packed_address(text: str) -> bytes | None:
    """Return an address as 4 or 16 bytes; None where it is none."""
    try:
        return socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        pass
    if ":" not in text:
        return None
    try:
        raw = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return None
    return raw[12:] if raw.startswith(b"\0" * 10 + b"\xff\xff") else raw


def _parsed(text: str) -> tuple[int, int, int] | None:
    """Return width, first address and number of addresses of a network."""
    if "/" not in text:
        raw = packed_address(text)
        return None if raw is None else (len(raw), int.from_bytes(raw, "big"), 1)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    return network.max_prefixlen // 8, int(network.network_address), network.num_addresses


def _put(starts: list[int], owners: list[int], start: int, owner: int) -> None:
    """Begin a segment; one of no length is replaced."""
    if starts[-1] == start:
        owners[-1] = owner
    else:
        starts.append(start)
        owners.append(owner)
