"""Microsoft 365's unified audit log: exports, classes, and 9,611 rows of a real tenant."""

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.m365 import M365
from schemas.ocsf import validate
from sentinel.errors import MappingError
from sentinel.settings import Settings

DATA = Path(Settings().data)
EXPORT = DATA / "o365" / "auditrecords.csv.gz"
SAML = DATA / "otrf/datasets/compound/GoldenSAMLADFSMailAccess/OfficeActivityEvents.Zip"
ROWS = 9611
CONNECTOR = M365()


def record(operation, **changes):
    return {"CreationTime": "2026-03-02T09:15:00", "Operation": operation, "Id": "1"} | changes


def mapped(event):
    found = CONNECTOR.to_ocsf(json.dumps(event).encode())
    assert validate(found) == []
    return found


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (record("UserLoggedIn", RecordType=15), "Authentication: Logon"),
        (
            record("FileDownloaded", RecordType=6, ItemType="File"),
            "File Hosting Activity: Download",
        ),
        (record("FileDeleted", RecordType=6, ItemType="File"), "File Hosting Activity: Delete"),
        (record("SharingSet", RecordType=14, ItemType="File"), "File Hosting Activity: Share"),
        (
            record("SharingRevoked", RecordType=14, ItemType="File"),
            "File Hosting Activity: Unshare",
        ),
        (
            record("Send", Workload="Exchange", MailboxOwnerUPN="a@b.example"),
            "Email Activity: Send",
        ),
        (record("Send", Workload="Exchange"), "API Activity: Other"),
        (record("Add-MailboxPermission", Workload="Exchange"), "User Access Management: Assign"),
        (record("Get-Mailbox", Workload="Exchange"), "API Activity: Read"),
        (record("AlertTriggered", Name="x"), "Detection Finding: Create"),
        (record("Add user.", Workload="AzureActiveDirectory"), "Account Change: Create"),
        (record("Something Else"), "API Activity: Other"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_classes(event, expected):
    assert mapped(event)["type_name"].startswith(expected)


def test_a_failed_sign_in_is_a_failure_whatever_its_result_says():
    event = record("UserLoginFailed", RecordType=15, ResultStatus="Success")
    assert mapped(event)["status"] == "Failure"


def test_rules_of_defender_find_the_outcome_and_the_alert():
    event = json.dumps(record("AlertTriggered", Name="Impossible travel activity")).encode()
    decoder = CONNECTOR.decoder(frozenset({"status", "eventName", "eventSource"}))
    decoded = decoder.decode(event)

    assert decoder.getter("status")(decoded) == "success"
    assert decoder.getter("eventName")(decoded) == "Impossible travel activity"
    assert decoder.getter("eventSource")(decoded) is None


@given(
    st.lists(
        st.dictionaries(st.text(max_size=4), st.text(max_size=9), max_size=3),
        min_size=1,
        max_size=5,
    )
)
def test_an_export_gives_every_record_back(records):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["CreationDate", "UserIds", "AuditData"])
    writer.writerows(["x", "a\nb", json.dumps(one)] for one in records)

    assert [json.loads(unit) for unit in CONNECTOR.split(out.getvalue().encode())] == records
    header, *rows = out.getvalue().encode().split(b"\r\n")
    assert list(CONNECTOR.split(header)) == []
    assert rows


@pytest.mark.parametrize("buffered", [True, False])
def test_a_file_of_rows_over_several_lines_is_read_to_its_end(buffered):
    rows = b'Host,AuditData\r\n"a\nb","{""n"":1}"\r\nc,"{""n"":2}"\r\n'
    stream = io.BufferedReader(io.BytesIO(rows)) if buffered else io.BytesIO(rows)
    assert list(CONNECTOR.records(stream)) == [b'{"n":1}', b'{"n":2}']

    lines = b'{"n":1}\n{"AuditData":"{}"}\n'
    stream = io.BufferedReader(io.BytesIO(lines)) if buffered else io.BytesIO(lines)
    assert len(list(CONNECTOR.records(stream))) == 2


def test_a_row_alone_is_understood():
    row = b'x,"{""CreationTime"":""2026-03-02T09:15:00"",""Operation"":""Send""}",y'
    [unit] = CONNECTOR.split(row)
    assert json.loads(unit)["Operation"] == "Send"


def test_an_operation_is_needed():
    with pytest.raises(MappingError, match="Operation"):
        CONNECTOR.to_ocsf(b'{"CreationTime": "2026-03-02T09:15:00"}')


def test_every_row_of_a_real_tenant_maps_and_validates():
    if not EXPORT.is_file():
        pytest.skip(f"no {EXPORT}: set SENTINEL_DATA to the folder with real logs")
    units = list(CONNECTOR.split(gzip.decompress(EXPORT.read_bytes())))
    assert len(units) == ROWS
    found = [CONNECTOR.to_ocsf(unit) for unit in units]
    # One of each kind is checked against the schema: the mapping is the same for the others.
    first = {event["metadata"].get("event_code", "") + event["type_name"]: event for event in found}
    assert [problem for event in first.values() for problem in validate(event)] == []
    # Four in ten records of the export are there twice, and three have no id.
    assert len({event["metadata"].get("uid") for event in found}) == 5374
    classes = Counter(event["class_name"] for event in found)
    assert classes["Authentication"] == 951
    assert classes["Detection Finding"] == 258
    assert classes["Email Activity"] == 610


def test_golden_saml_in_the_table_maps():
    if not SAML.is_file():
        pytest.skip(f"no {SAML}: set SENTINEL_DATA to the folder with real logs")
    with zipfile.ZipFile(SAML) as archive:
        lines = archive.read("OfficeActivityEvents.json").splitlines()
    for line in lines:
        found = mapped(json.loads(line))
        assert found["class_name"] == "Email Activity"
        assert found["src_endpoint"]["ip"]
