"""Where an address is, and whose: databases in MaxMind's format, of any provider.

Source: "MaxMind DB File Format Specification" 2.0; field names of GeoIP2 and GeoLite2 (City,
Country, Enterprise, ASN, ISP, Anonymous-IP), DB-IP Lite, which are the same, and IPinfo Lite and
ip-location-db (IPtoASN, in the public domain), which have them flat.

Sentinel ships no database. Of the packages for Python that carry one (looked for in November
2026), maxminddb-geolite2 and its kind are of 2018 and 2019, IPToCC is as old, and geoip2fast is
of June 2024, pickled, and of GeoLite2, whose licence asks that it be renewed within 30 days: a
release that pins it would break that. ip-location-db's package for Node of countries (that of
June 2026 was read) says itself that its data has known faults and that packages will no longer
be renewed, and names CC BY 4.0 beside the CC0 of its metadata. A country that is wrong is worse
than none. What is kept up to date (ip-location-db's releases, DB-IP Lite) comes in no package:
put their ``.mmdb`` into the folder ``geo``, they are taken up while events flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.enrich.networks import packed_address
from sentinel.errors import SettingsError

MEMO: Final = 1 << 16
"""Addresses remembered; when it is full it is emptied."""
#: Flags of GeoIP2 Anonymous-IP.
FLAGS: Final = (
    *("is_anonymous", "is_anonymous_vpn", "is_hosting_provider", "is_public_proxy"),
    *("is_residential_proxy", "is_tor_exit_node"),
)


class Place(NamedTuple):
    """What databases say of an address; empty or None where they say nothing.

    Attributes
    ----------
    country, continent
        ISO 3166-1 alpha-2, and two letters.
    region
        ISO 3166-2 without the country.
    lat, long
        Degrees, WGS 84.
    asn, as_name
        Autonomous system.
    flags
        What it is used for, of `FLAGS` without ``is_``.
    radius_km
        Kilometres within which lat and long are right (GeoIP2's accuracy radius).
    """

    country: str = ""
    region: str = ""
    city: str = ""
    postal_code: str = ""
    continent: str = ""
    lat: float | None = None
    long: float | None = None
    asn: int | None = None
    as_name: str = ""
    flags: tuple[str, ...] = ()
    radius_km: float | None = None


NOWHERE: Final = Place()


class Geo:
    """Databases that are asked one after the other; what a later one says fills gaps.

    Parameters
    ----------
    paths
        ``.mmdb`` files; they are mapped into memory.

    Attributes
    ----------
    faults
        Look-ups that a damaged database answered with an error.
    databases
        Type and time of making (seconds since the epoch) of each.

    Raises
    ------
    SettingsError
        A file is no such database.
    """

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        import maxminddb

        self._fault = maxminddb.InvalidDatabaseError
        self._readers: list[Any] = []
        self.faults = 0
        for path in paths:
            try:
                self._readers.append(maxminddb.open_database(path))
            except (OSError, maxminddb.InvalidDatabaseError) as error:
                raise SettingsError(
                    f"expected a database in MaxMind's format (.mmdb), found {path}: {error}"
                ) from error
        metadata = [reader.metadata() for reader in self._readers]
        self.databases = [(each.database_type, int(each.build_epoch)) for each in metadata]
        self._memo: dict[str, Place] = {}

    def find(self, addresses: Sequence[str]) -> list[Place]:
        """Return the place of each address; `NOWHERE` for what is none or is not known."""
        memo = self._memo
        found = []
        for address in addresses:
            place = memo.get(address)
            if place is None:
                if len(memo) >= MEMO:
                    memo.clear()
                place = memo[address] = self._look(address)
            found.append(place)
        return found

    def _look(self, address: str) -> Place:
        if not self._readers or packed_address(address) is None:
            return NOWHERE
        place = NOWHERE
        for reader in self._readers:
            try:
                record = reader.get(address.partition("%")[0])
            except (self._fault, ValueError):  # ValueError: IPv6 in a database of IPv4
                self.faults += 1
                continue
            if isinstance(record, dict):
                place = _merged(place, _place(record))
        return place


def _merged(one: Place, other: Place) -> Place:
    filled: dict[str, Any] = {
        name: there
        for name, here, there in zip(Place._fields, one, other, strict=True)
        if here in ("", None, ())
    }
    return one._replace(**filled)


def _place(record: dict[str, Any]) -> Place:
    """Read a record, nested as in GeoIP2 or flat."""
    country = record.get("country") or record.get("registered_country")
    continent = record.get("continent")
    location = _object(record.get("location"))
    regions = record.get("subdivisions")
    region = regions[0] if isinstance(regions, list) and regions else record.get("region")
    traits = _object(record.get("traits")) | record
    number = traits.get("autonomous_system_number") or traits.get("asn")
    name = (
        traits.get("autonomous_system_organization") or traits.get("as_name") or traits.get("isp")
    )
    return Place(
        country=_text(country, "iso_code") or _text(record.get("country_code")),
        region=_text(region, "iso_code"),
        city=_text(record.get("city"), "names", "en"),
        postal_code=_text(record.get("postal"), "code"),
        continent=_text(continent, "code") or _text(record.get("continent_code")),
        lat=_degrees(location.get("latitude", record.get("latitude"))),
        long=_degrees(location.get("longitude", record.get("longitude"))),
        asn=_number(number),
        as_name=_text(name),
        flags=tuple(flag.removeprefix("is_") for flag in FLAGS if traits.get(flag) is True),
        radius_km=_kilometres(location.get("accuracy_radius")),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any, *names: str) -> str:
    """Return the text under `names`, or the value itself where it is a text."""
    if isinstance(value, str):
        return value
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _degrees(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 180
    return float(value) if good else None


def _kilometres(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if good else None


def _number(value: Any) -> int | None:
    """Return the number of an autonomous system: an integer, or ``AS64496``."""
    if isinstance(value, str):
        value = int(value[2:]) if value[:2].upper() == "AS" and value[2:].isdecimal() else None
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**32
    return value if good else None
