"""Look-ups together: places, benign lists, assets, and OCSF with all of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from detectors.enrich import benign, folder
from detectors.enrich.attack import Attack
from detectors.enrich.benign import BenignList, BenignTable
from detectors.enrich.context import Context, Entry, load
from detectors.enrich.enricher import BENIGN_WEIGHT, NOTHING, Enricher, Tables
from detectors.enrich.event import enrich
from detectors.enrich.geo import NOWHERE, Geo
from detectors.enrich.indicators import Indicator
from detectors.enrich.table import IndicatorTable
from schemas.ocsf import validate
from sentinel.errors import SettingsError

GOLDEN = Path(__file__).parents[2] / "connectors" / "golden"
NOW = 1_780_000_000


def tables(**some: Any) -> Tables:
    nothing = Tables(Geo(), IndicatorTable(), BenignTable(), Context(), Attack())
    return nothing._replace(**some)


@pytest.fixture
def maxmind(data: Path) -> Path:
    return data / "threatintel" / "maxmind" / "test-data"


def test_places_of_maxminds_own_test_databases(maxmind: Path) -> None:
    names = ("GeoIP2-City-Test.mmdb", "GeoLite2-ASN-Test.mmdb", "GeoIP2-Anonymous-IP-Test.mmdb")
    geo = Geo(maxmind / name for name in names)
    london, other, unknown, none = geo.find(["81.2.69.142", "1.128.0.0", "10.0.0.1", "x"])

    assert (london.country, london.city, london.region) == ("GB", "London", "ENG")
    assert (other.asn, other.as_name) == (1221, "Telstra Pty Ltd")
    assert unknown == none == NOWHERE
    assert "anonymous_vpn" in geo.find(["1.2.0.1"])[0].flags
    assert [name for name, _ in geo.databases][:2] == ["GeoIP2-City", "GeoLite2-ASN"]


def test_a_damaged_database_costs_a_look_up_and_no_more(maxmind: Path, tmp_path: Path) -> None:
    geo = Geo([maxmind / "GeoIP2-City-Test-Broken-Double-Format.mmdb"])
    geo.find([f"81.2.69.{number}" for number in range(140, 200)])
    assert geo.faults > 0

    (tmp_path / "no.mmdb").write_bytes(b"hello")
    with pytest.raises(SettingsError, match="MaxMind's format"):
        Geo([tmp_path / "no.mmdb"])


def test_real_warning_lists(data: Path) -> None:
    paths = sorted((data / "threatintel" / "misp_warninglists" / "lists").rglob("list.json"))
    lists = [found for path in paths if (found := benign.load(path)) is not None]
    table = BenignTable(lists)

    assert len(lists) == len(paths) > 100
    found = table.addresses(["10.1.2.3", "8.8.8.8"])
    assert any("RFC 1918" in name for name in found[0])
    assert any("DNS" in name for name in found[1])
    assert any("google" in name for name in table.names(["www.google.com"])[0])
    assert table.refused == 0


def test_every_type_of_warning_list() -> None:
    table = BenignTable(
        [
            BenignList("c", "cidr", ("192.0.2.0/24", "not a network")),
            BenignList("h", "hostname", (".example.com", "example.org")),
            BenignList("s", "string", ("evil.example", "192.0.2.9")),
            BenignList("p", "substring", ("cdn",)),
            BenignList("r", "regex", ("/^a[0-9]+\\.example$/i", "(unclosed")),
        ]
    )

    assert table.addresses(["192.0.2.9", "198.51.100.1"]) == {0: ["c", "s"]}
    assert table.names(["www.EXAMPLE.com", "xcdn.net", "A12.example", "evil.example", "o.k"]) == {
        0: ["h"],
        1: ["p"],
        2: ["r"],
        3: ["s"],
    }
    assert table.refused == 2


def test_assets_and_people(tmp_path: Path) -> None:
    (tmp_path / "assets.csv").write_text(
        "key,owner,criticality,tags,site\n192.0.2.0/24,net,low,a;b,\nweb-1,shop,high,,berlin\n"
        "192.0.2.7,shop,critical,,\n"
    )
    context = Context(load(tmp_path / "assets.csv"))
    one, network, host, nobody = context.find(
        ["192.0.2.7", "192.0.2.8", "WEB-1.prod.example.com", "web-2"]
    )

    assert one is not None
    assert network is not None
    assert host is not None
    assert (one.criticality, network.owner, network.tags) == ("critical", "net", ("a", "b"))
    assert (host.owner, host.more, nobody) == ("shop", (("site", "berlin"),), None)


@pytest.mark.parametrize(
    ("content", "told"),
    [("owner\nx\n", "entry 1: expected a key"), ("key,criticality\na,urgent\n", "'urgent'")],
)
def test_a_wrong_entry_is_named(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "assets.csv").write_text(content)
    with pytest.raises(SettingsError, match=told):
        list(load(tmp_path / "assets.csv"))


def test_names_of_attack(data: Path) -> None:
    attack = Attack(data / "threatintel" / "attack" / "enterprise-attack-min.json.gz")

    assert len(attack) > 500
    found = attack.ocsf("T1078.004")
    assert found["technique"]["name"] == "Valid Accounts"
    assert found["sub_technique"]["name"] == "Cloud Accounts"
    assert found["tactic"]["uid"].startswith("TA")
    assert attack.find("T1215") is None  # revoked
    assert Attack().ocsf("T1078") == {"technique": {"uid": "T1078"}}


def enricher(**more: Any) -> Enricher:
    listed = [
        Indicator("ip", "192.0.2.0/24", "feed", 90, NOW, NOW + 10, "Botnet", ("c2",)),
        Indicator("domain", "example.com", "feed", 60),
    ]
    some = {
        "indicators": IndicatorTable(listed),
        "context": Context([Entry("192.0.2.0/23", "asset", owner="shop", criticality="high")]),
    }
    return Enricher(tables(**some | more))


def test_a_column_of_addresses() -> None:
    rows = enricher().addresses(["192.0.2.1", "203.0.113.5", "", "aws.amazonaws.com"], NOW)

    assert [match.name for match in rows[0].matches] == ["Botnet"]
    assert rows[0].entry is not None
    assert rows[0].weight == pytest.approx(0.9)
    assert rows[1:] == [NOTHING, NOTHING, NOTHING]


def test_what_is_benign_weighs_less_and_both_are_told() -> None:
    lists = BenignTable([BenignList("cloud", "cidr", ("192.0.2.0/24",))])
    (row,) = enricher(benign=lists).addresses(["192.0.2.1"], NOW)

    assert (row.benign, len(row.matches)) == (("cloud",), 1)
    assert row.weight == pytest.approx(0.9 * BENIGN_WEIGHT)


def test_every_golden_event_is_valid_with_what_is_known_of_it(maxmind: Path) -> None:
    # All documentation addresses are of somebody, somewhere, and of ill repute.
    networks = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.0.0.0/8")
    listed = [Indicator("ip", each, "feed", name="x", labels=("a",)) for each in networks]
    rich = enricher(
        indicators=IndicatorTable([*listed, Indicator("domain", "example.com", "feed")]),
        benign=BenignTable([BenignList("all", "cidr", networks)]),
        geo=Geo([maxmind / "GeoIP2-City-Test.mmdb", maxmind / "GeoLite2-ASN-Test.mmdb"]),
    )
    enriched = 0
    for path in sorted(GOLDEN.rglob("*.ocsf.json")):
        for event in json.loads(path.read_bytes()):
            before = json.dumps(event)
            found = enrich(event, rich, NOW)
            assert validate(found) == [], path
            assert json.dumps(event) == before
            enriched += "enrichments" in found
    assert enriched > 20


def test_location_and_autonomous_system_are_those_of_the_endpoint(maxmind: Path) -> None:
    geo = Geo([maxmind / "GeoIP2-City-Test.mmdb", maxmind / "GeoLite2-ASN-Test.mmdb"])
    event = {"src_endpoint": {"ip": "81.2.69.142"}, "device": {"ip": "1.128.0.0"}}
    found = enrich(event, Enricher(tables(geo=geo)), NOW)

    assert found["src_endpoint"]["location"]["city"] == "London"
    assert "autonomous_system" not in found["device"]
    found = enrich({"dst_endpoint": {"ip": "1.128.0.0"}}, Enricher(tables(geo=geo)), NOW)
    assert found["dst_endpoint"]["autonomous_system"]["number"] == 1221


def test_tables_change_while_others_look_up() -> None:
    old, new = (
        tables(
            indicators=IndicatorTable([Indicator("ip", "192.0.2.1", name)]),
            context=Context([Entry("192.0.2.1", "asset", owner=name)]),
        )
        for name in ("old", "new")
    )
    door, stop, mixed = Enricher(old), threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            (row,) = door.addresses(["192.0.2.1"], NOW)
            if row.entry is None or row.matches[0].feed != row.entry.owner:
                mixed.append(row)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(300):
        door.swap(new if number % 2 else old)
        door.addresses(["192.0.2.1"], NOW)
    stop.set()
    for thread in threads:
        thread.join()
    assert mixed == []


def test_a_folder_holds_everything_and_shows_when_it_changed(tmp_path: Path) -> None:
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "bad.txt").write_text("192.0.2.1\n???\n")
    (tmp_path / "benign" / "cloud").mkdir(parents=True)
    (tmp_path / "benign" / "cloud" / "list.json").write_text(
        '{"name": "cloud", "type": "cidr", "list": ["192.0.2.0/24"]}'
    )
    (tmp_path / "identities.csv").write_text("key,owner\nada,finance\n")
    before = folder.version(tmp_path)
    found, left = folder.load(tmp_path)

    (row,) = Enricher(found).addresses(["192.0.2.1"])
    assert (row.matches[0].feed, row.benign) == ("bad", ("cloud",))
    (ada,) = found.context.find(["ada"])
    assert ada is not None
    assert ada.kind == "identity"
    assert left == {"bad: no_indicator": 1}
    assert folder.version(tmp_path) == before
    (tmp_path / "feeds" / "bad.txt").write_text("192.0.2.1\n")
    assert folder.version(tmp_path) != before
    with pytest.raises(SettingsError, match="expected a folder"):
        folder.load(tmp_path / "missing")


def test_a_watched_folder_swaps_what_changed_and_keeps_what_it_has_when_it_breaks(
    tmp_path: Path,
) -> None:
    (tmp_path / "feeds").mkdir()
    feed = tmp_path / "feeds" / "list.txt"
    feed.write_text("192.0.2.1\n")
    watch = folder.Watch(tmp_path, every_s=3600)
    try:
        assert not watch.look()
        feed.write_text("192.0.2.1\n192.0.2.2\n")
        assert watch.look()
        assert watch.enricher.addresses(["192.0.2.2"]) != [NOTHING]
        (tmp_path / "geo").mkdir()
        (tmp_path / "geo" / "bad.mmdb").write_bytes(b"hello")
        assert not watch.look()
        assert "MaxMind's format" in watch.problem
        assert watch.enricher.addresses(["192.0.2.2"]) != [NOTHING]
    finally:
        watch.close()
    assert watch.swaps == 1
