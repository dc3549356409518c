"""Azure flow logs: one event a flow, whatever the version, and what does not fit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.nsg_flow import NsgFlow
from sentinel.errors import MappingError

CONNECTOR = NsgFlow()


def record(*tuples, version=2):
    return {
        "time": "2026-03-02T09:15:30Z",
        "macAddress": "000D3AF87856",
        "resourceId": "/SUBSCRIPTIONS/s/RESOURCEGROUPS/g/PROVIDERS/M.N/NSG/web",
        "properties": {
            "Version": version,
            "flows": [
                {"rule": "r", "flows": [{"mac": "000D3AF87856", "flowTuples": list(tuples)}]}
            ],
        },
    }


def units(*records):
    return list(CONNECTOR.split(json.dumps({"records": list(records)}).encode()))


def flow(source, port=443):
    return f"1772442900,{source},203.0.113.80,44931,{port},T,O,A,E,25,5000,20,21000"


def test_a_record_becomes_an_event_a_flow():
    found = [CONNECTOR.to_ocsf(unit) for unit in units(record(flow("10.0.0.4"), flow("10.0.0.5")))]

    assert [event["src_endpoint"]["ip"] for event in found] == ["10.0.0.4", "10.0.0.5"]
    assert found[0]["traffic"]["bytes"] == 26_000
    assert found[0]["src_endpoint"]["mac"] == "00:0D:3A:F8:78:56"
    assert found[0]["firewall_rule"]["name"] == "r"


def test_an_event_cut_once_is_not_cut_again():
    [unit] = units(record(flow("10.0.0.4")))
    assert list(CONNECTOR.split(unit)) == [unit]


def test_rules_for_firewalls_find_their_fields():
    [unit] = units(record(flow("10.0.0.4", port=22)))
    decoder = CONNECTOR.decoder(frozenset({"dst_port", "action", "src_ip"}))
    event = decoder.decode(unit)

    values = [decoder.getter(name)(event) for name in ("src_ip", "dst_port", "action")]
    assert values == ["10.0.0.4", "22", "allow"]


@pytest.mark.parametrize("bad", ["", "1,2,3", "a,b,c,d,e,f,g,h,i", 7, None])
def test_values_that_do_not_fit_are_a_dead_letter_each(bad):
    good, wrong = units(record(flow("10.0.0.4"), bad))

    assert CONNECTOR.to_ocsf(good)
    with pytest.raises(MappingError):
        CONNECTOR.to_ocsf(wrong)


@given(st.lists(st.ip_addresses(), max_size=20), st.integers(0, 65_535))
def test_no_flow_is_lost(addresses, port):
    found = units(record(*(flow(address, port) for address in addresses)))
    sources = [CONNECTOR.to_ocsf(unit)["src_endpoint"]["ip"] for unit in found if addresses]
    assert sources == [str(address) for address in addresses]
