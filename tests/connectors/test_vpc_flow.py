"""VPC flow logs: every format's words in their place, and AWS's own mapping as the oracle."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from connectors._aws.objects.cut import Cutter
from connectors._vpc_flow.layout import DEFAULT
from connectors.vpc_flow import VpcFlow
from schemas.ocsf import validate
from sentinel.errors import DecodeError, MappingError, RecordError
from sentinel.settings import Settings

EXAMPLE = Path(Settings().data) / "ocsf_examples/aws_v1.1.0/VPC Flowlogs/samples"
CONNECTOR = VpcFlow()
LINE = (
    "2 123456789012 eni-1 192.0.2.1 198.51.100.2 1234 443 6 9 840 1767225600 1767225660 ACCEPT OK"
)


def mapped(value: str) -> list[dict[str, Any]]:
    events = [CONNECTOR.to_ocsf(unit) for unit in CONNECTOR.split(value.encode())]
    assert [problem for event in events for problem in validate(event)] == []
    return events


def summarised(value: str) -> Any:
    decoder = CONNECTOR.decoder(frozenset())
    (unit,) = CONNECTOR.split(value.encode())
    return CONNECTOR.summarise(decoder.decode(unit))


def test_one_line_of_the_default_format():
    (event,) = mapped(LINE)
    assert event["src_endpoint"] == {"ip": "192.0.2.1", "port": 1234}
    assert event["dst_endpoint"] == {"ip": "198.51.100.2", "port": 443}
    assert event["traffic"] == {"bytes": 840, "packets": 9}
    assert (event["start_time"], event["end_time"], event["duration"]) == (
        1767225600_000,
        1767225660_000,
        60_000,
    )
    # Which end the interface is at, the default format does not say.
    assert event["unmapped"] == {"interface-id": "eni-1"}
    summary = summarised(LINE)
    assert (summary.entity, summary.service, summary.operation) == (
        "192.0.2.1",
        "tcp/443",
        "ACCEPT",
    )


@pytest.mark.parametrize(
    ("action", "activity", "disposition", "status"),
    [("ACCEPT", "Traffic", "Allowed", "Success"), ("REJECT", "Refuse", "Blocked", "Failure")],
)
def test_what_was_done_with_a_flow(action, activity, disposition, status):
    (event,) = mapped(LINE.replace("ACCEPT", action))
    found = (event["activity_name"], event["disposition"], event["status"])
    assert found == (activity, disposition, status)


def test_a_flow_belongs_to_what_it_leaves_or_to_where_it_comes_from():
    header = "srcaddr dstaddr srcport dstport start instance-id interface-id flow-direction\n"
    line = "10.0.0.5 203.0.113.9 40000 443 1767225600 i-1 eni-1 "
    out, into = summarised(f"{header}{line}egress"), summarised(f"{header}{line}ingress")
    assert (out.entity, into.entity) == ("i-1", "10.0.0.5")
    (event,) = mapped(f"{header}{line}egress")
    assert event["src_endpoint"]["instance_uid"] == "i-1"
    (event,) = mapped(f"{header}{line}ingress")
    assert event["dst_endpoint"]["instance_uid"] == "i-1"


def test_sigma_reads_words_by_aws_name_and_by_that_of_firewalls():
    decoder = CONNECTOR.decoder(frozenset())
    flow = decoder.decode(LINE.encode())
    assert decoder.getter("dst_port")(flow) == decoder.getter("dstport")(flow) == 443
    assert decoder.getter("src_ip")(flow) == "192.0.2.1"
    assert decoder.getter("log_status")(flow) == "OK"
    assert decoder.getter("pkt-srcaddr")(flow) is None


@pytest.mark.parametrize(
    ("value", "error", "reason"),
    [
        ("2 123456789012 eni-1", DecodeError, "fields"),
        (LINE.replace("1767225600", "-"), MappingError, "missing_field"),
        (LINE.replace("1767225600", "7"), MappingError, "timestamp"),
        (f"one two\n{LINE}\n{LINE}", DecodeError, "fields"),
        ("version start\n2 1767225600", MappingError, "missing_field"),
        ("version version srcaddr\n2 2 192.0.2.1", DecodeError, "header"),
    ],
)
def test_what_is_no_flow_is_refused_with_a_reason(value, error, reason):
    decoder = CONNECTOR.decoder(frozenset())
    with pytest.raises(error) as caught:
        [CONNECTOR.summarise(decoder.decode(unit)) for unit in CONNECTOR.split(value.encode())]
    assert caught.value.reason == reason


words = st.from_regex(r"[0-9a-fA-F.:-]{1,12}", fullmatch=True) | st.sampled_from(
    ["-", "192.0.2.1", "2001:db8::1", "1767225600", "6", "65536", "ACCEPT", "egress", "8", "٣"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*DEFAULT, "tcp-flags", "type", "traffic-path", "pkt-srcaddr", "x"])),
    st.data(),
)
def test_any_format_with_any_words_is_an_event_or_refused(names, data):
    names = list(dict.fromkeys(["version", *names]))
    line = " ".join(data.draw(words) for _ in names)
    decoder = CONNECTOR.decoder(frozenset())
    for unit in CONNECTOR.split(f"{' '.join(names)}\n{line}".encode()):
        try:
            CONNECTOR.summarise(decoder.decode(unit))
        except RecordError:
            continue
        assert validate(CONNECTOR.to_ocsf(unit)) == []


def test_parquet_is_what_text_is():
    names = ["version", "account_id", "srcaddr", "dstaddr", "dstport", "start", "end", "action"]
    rows = [[5, "123456789012", "192.0.2.1", None, n, 1767225600, 1767225660, "ACCEPT"]
            for n in range(1, 1101)]  # fmt: skip
    table = pyarrow.table({name: [row[at] for row in rows] for at, name in enumerate(names)})
    file = io.BytesIO()
    parquet.write_table(table, file)
    records = list(Cutter(CONNECTOR).records([file.getvalue()], "s3://b/k"))
    assert [record.id for record in records] == ["s3://b/k#0", "s3://b/k#500", "s3://b/k#1000"]
    units = [unit for record in records for unit in CONNECTOR.split(record.value)]
    lines = [" ".join("-" if word is None else str(word) for word in row) for row in rows]
    assert [unit.decode().split("\n")[1] for unit in units] == lines
    assert validate(CONNECTOR.to_ocsf(units[7])) == []
    (broken,) = Cutter(CONNECTOR).records([file.getvalue()[:-9]], "s3://b/k")
    assert broken.problem.startswith("parquet:")


@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="needs SENTINEL_DATA: AWS's example of OCSF")
def test_agrees_with_the_mapping_of_aws():
    """Field by field with AWS's example, which is OCSF 1.1.0.

    Not ours: ``boundary`` and ``svc_name`` are ``-`` there, captions of the protocol's version
    differ, times are texts, and the interface has two digits more than in the raw line.
    """
    (raw,) = (path for path in EXAMPLE.iterdir() if path.suffix == ".raw")
    (expected,) = (json.loads(p.read_text()) for p in EXAMPLE.iterdir() if p.suffix == ".ocsf")
    names, row = csv.reader(raw.read_text().splitlines())
    (event,) = mapped(" ".join(names) + "\n" + " ".join(row))
    same = ("action", "action_id", "activity_id", "class_uid", "disposition", "severity_id", "time")
    assert {name: event[name] for name in same} == {name: expected[name] for name in same}
    assert event["traffic"] == expected["traffic"]
    assert event["cloud"]["zone"] == expected["cloud"]["zone"]
    for name in ("direction", "direction_id", "protocol_num", "tcp_flags"):
        assert event["connection_info"][name] == expected["connection_info"][name]
    for end in ("src_endpoint", "dst_endpoint"):
        wanted = {k: v for k, v in expected[end].items() if v != "-" and k != "interface_uid"}
        assert {k: v for k, v in event[end].items() if k != "interface_uid"} == wanted
