"""Cloud Logging, read by the real google-cloud-logging client over HTTP from a double."""

import json
from datetime import timedelta

import pytest

from connectors._google.reading.entries import EntriesReader, EntriesSettings
from connectors._reading.base import DeniedError, SourceError
from connectors.gcp_audit import GcpAudit
from sentinel.testing.draining import Drain
from sentinel.testing.google import LoggingDouble, refused
from sentinel.testing.server import cut, expired, failed, malformed, throttled

PATH = "/v2/entries:list"
LOG = "projects/shop-1/logs/cloudaudit.googleapis.com%2Factivity"


def entry(n, when):
    return {
        "insertId": f"i{n}",
        "logName": LOG,
        "timestamp": when.isoformat().replace("+00:00", "123Z") if when.microsecond else
        when.isoformat().replace("+00:00", "Z"),
        "receiveTimestamp": "2026-03-02T09:00:00.123456789Z",
        "protoPayload": {"serviceName": "compute.googleapis.com", "methodName": "v1.x.delete"},
    }  # fmt: skip


@pytest.fixture
def double(server, login, now):
    made = LoggingDouble(server, login.tokens)
    made.entries = [entry(n, now - timedelta(minutes=8 * n + 5, microseconds=n)) for n in range(20)]
    return made


@pytest.fixture
def drain(account, double, clock, now):
    def make():
        settings = EntriesSettings(
            resources=["projects/shop-1"], since=now.replace(hour=9), **account
        )
        reader = EntriesReader(settings, GcpAudit())
        reader.clock = clock
        return reader

    return Drain(make, SourceError)


def test_every_entry_once_as_the_api_wrote_it(drain, double, server):
    drain.run()

    assert len(drain.ids) == len(set(drain.ids)) == 20
    values = [json.loads(record.value) for record in drain.records]
    assert sorted(values, key=str) == sorted(double.entries, key=str)
    assert GcpAudit().to_ocsf(drain.records[0].value)["activity_name"] == "Delete"
    asked = server.asked(PATH)[0].json()
    assert 'logName:"cloudaudit.googleapis.com" AND timestamp >= "' in asked["filter"]
    assert (asked["resourceNames"], asked["orderBy"]) == (["projects/shop-1"], "timestamp asc")


def test_failures_lose_nothing_and_double_nothing(server, drain):
    server.script(
        PATH, None, throttled(6), failed(503), expired(), cut(), malformed(), malformed(b"[]"), None
    )
    drain.run(tries=20)

    assert len(drain.ids) == len(set(drain.ids)) == 20
    assert 6.0 in [error.retry_after_s for error in drain.errors]
    assert not [error for error in drain.errors if isinstance(error, DeniedError)]
    assert server.left() == 0


def test_pages_in_the_wrong_order_over_crashes_and_late_entries(drain, double, now, clock):
    double.reverse = True
    for pages in (1, 2, 2):
        drain.run(pages=pages)
    drain.run()
    double.entries.append(entry("late", now - timedelta(minutes=10)))
    clock.move(60)
    drain.run()

    assert len(set(drain.ids)) == 21
    assert [name for name in drain.ids if "late" in name] == drain.ids[-1:]


def test_what_is_listed_is_what_is_read(drain, now):
    drain.run()

    assert sorted(drain.listed(now.replace(hour=9), now)) == sorted(drain.ids)


def test_tokens_that_run_out_all_the_time(login, drain):
    login.tokens.uses = 2
    drain.run()

    assert len(drain.ids) == len(set(drain.ids)) == 20


def test_check_names_the_missing_role(server, account, double):
    reader = EntriesReader(EntriesSettings(resources=["projects/shop-1"], **account), GcpAudit())
    assert [check.ok for check in reader.check()] == [True]

    server.script(PATH, lambda _, __: refused(403, "PERMISSION_DENIED", "no"))
    [check] = reader.check()
    reader.close()
    assert not check.ok
    assert "roles/logging.viewer" in check.detail


def test_a_key_that_is_none_is_denied(tmp_path, account):
    path = tmp_path / "key.json"
    path.write_text("{}")
    settings = EntriesSettings(resources=["projects/p"], **account | {"key_file": str(path)})
    with pytest.raises(DeniedError, match="credentials"):
        next(EntriesReader(settings, GcpAudit()).read(None))
