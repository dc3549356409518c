"""Security Command Center's findings, read over HTTP from a double."""

from datetime import timedelta

import pytest

from connectors._google.reading.findings import FindingsReader, FindingsSettings
from connectors._reading.base import DeniedError, SourceError
from connectors.gcp_scc import GcpScc
from sentinel.testing.draining import Drain
from sentinel.testing.google import FindingsDouble, refused
from sentinel.testing.server import cut, expired, failed, malformed, throttled

PATH = "/v2/.*/findings"


def result(n, when, **finding):
    text = when.isoformat().replace("+00:00", "Z")
    return {"finding": {"name": f"f{n}", "category": "OPEN", "eventTime": text, **finding}}


@pytest.fixture
def results(now):
    return [result(n, now - timedelta(minutes=9 * n + 1)) for n in range(12)]


@pytest.fixture
def drain(server, login, account, results, clock, now):
    FindingsDouble(server, login.tokens, results)

    def make():
        settings = FindingsSettings(parent="organizations/1", since=now.replace(hour=9), **account)
        reader = FindingsReader(settings, GcpScc())
        reader.clock = clock
        return reader

    return Drain(make, SourceError)


def test_every_finding_once_and_again_when_it_changes(drain, results, now, clock):
    drain.run()
    assert len(drain.ids) == len(set(drain.ids)) == 12

    results.append(result(3, now + timedelta(seconds=5), state="INACTIVE"))
    clock.move(60)
    drain.run()
    assert len(drain.ids) == len(set(drain.ids)) == 13
    assert GcpScc().to_ocsf(drain.records[-1].value)["status"] == "Resolved"


def test_failures_lose_nothing_and_double_nothing(server, drain):
    server.script(PATH, None, throttled(2), failed(500), expired(), cut(), malformed(), None)
    drain.run(tries=20)

    assert len(drain.ids) == len(set(drain.ids)) == 12
    assert 2.0 in [error.retry_after_s for error in drain.errors]
    assert not [error for error in drain.errors if isinstance(error, DeniedError)]


def test_check_names_the_missing_role(server, account, drain):
    reader = FindingsReader(FindingsSettings(parent="organizations/1", **account), GcpScc())
    assert [check.ok for check in reader.check()] == [True]

    server.script(PATH, lambda _, __: refused(403, "PERMISSION_DENIED", "no"))
    [check] = reader.check()
    reader.close()
    assert "roles/securitycenter.findingsViewer" in check.detail
