"""Azure Monitor Logs, read by the real LogsQueryClient over HTTP from a double."""

import json

import pytest

from connectors._azure.reading import monitor
from connectors._azure.reading.monitor import MonitorReader, MonitorSettings
from connectors._reading.base import DeniedError, SourceError
from connectors.azure_signin import AzureSignin
from sentinel.testing.azure import MonitorDouble, denied
from sentinel.testing.draining import Drain
from sentinel.testing.server import cut, expired, failed, malformed, throttled

QUERY = r"/v1/workspaces/.*"


@pytest.fixture
def rows(times):
    return {
        "SigninLogs": [
            {
                "TimeGenerated": times(300 - minute),
                "_ItemId": f"item-{minute:03}",
                "Id": f"id-{minute:03}",
                "UserPrincipalName": "ada@example.com",
                "Status": {"errorCode": 0},
                "Empty": None,
            }
            for minute in range(100)
        ]
    }


@pytest.fixture
def double(server, login, rows):
    return MonitorDouble(server, login.tokens, rows)


@pytest.fixture
def drain(server, account, now, clock, double, monkeypatch):
    monkeypatch.setattr(monitor, "PAGE_ROWS", 17)

    def make():
        settings = MonitorSettings(
            workspace_id="w", endpoint=server.url, since=now.replace(hour=6), **account
        )
        reader = MonitorReader(settings, AzureSignin())
        reader.clock = clock
        return reader

    return Drain(make, SourceError)


def test_every_row_once_as_an_object(drain, rows):
    drain.run()

    assert sorted(drain.ids) == [f"azure:SigninLogs/{r['_ItemId']}" for r in rows["SigninLogs"]]
    first = json.loads(drain.records[0].value)
    assert first["Status"] == {"errorCode": 0}
    assert "Empty" not in first
    assert not [name for name in first if name.startswith("sentinel_")]
    connector = AzureSignin()
    [unit] = connector.split(drain.records[0].value)
    assert connector.to_ocsf(unit)["user"]["name"] == "ada@example.com"


def test_failures_lose_nothing_and_double_nothing(server, drain, rows, double):
    double.partial = 1
    server.script(
        QUERY, None, throttled(7), failed(503), expired(), cut(), malformed(), malformed(b"<html>")
    )
    drain.run()

    assert len(drain.ids) == len(set(drain.ids)) == len(rows["SigninLogs"])
    assert [e.retry_after_s for e in drain.errors if "429" in str(e)] == [7.0]
    assert not [error for error in drain.errors if isinstance(error, DeniedError)]
    assert any("cut short" in str(error) for error in drain.errors)
    assert server.left() == 0


def test_a_crash_anywhere_loses_nothing(drain, rows):
    for pages in (1, 2, 3, 5):
        drain.run(pages=pages)
    drain.run()

    assert len(set(drain.ids)) == len(rows["SigninLogs"])


def test_a_row_that_comes_late_is_read_and_the_others_not_again(drain, rows, times, clock):
    drain.run()
    clock.move(60)
    late = {"TimeGenerated": times(30), "_ItemId": "late"}
    rows["SigninLogs"].append(late)
    drain.run()

    assert drain.ids.count("azure:SigninLogs/late") == 1
    assert len(drain.ids) == len(set(drain.ids)) == 101


def test_tokens_that_run_out_all_the_time(server, login, drain, rows):
    login.tokens.uses = 3
    drain.run(tries=40)

    assert len(drain.ids) == len(set(drain.ids)) == len(rows["SigninLogs"])
    assert login.tokens.issued > 3


def test_a_missing_role_is_named(server, drain):
    for _ in range(2):
        server.script(QUERY, lambda _, __: denied("no", 403))
    with pytest.raises(AssertionError, match="Log Analytics Reader"):
        drain.run(tries=1)
    assert isinstance(drain.errors[0], DeniedError)


def test_check_says_what_is_wrong(server, account, double, made):
    settings = {"workspace_id": "w", "endpoint": server.url, **account}
    good = made(MonitorReader(MonitorSettings(**settings), AzureSignin()))
    wrong = made(MonitorReader(MonitorSettings(**settings | {"client_secret": "x"}), AzureSignin()))

    assert [check.ok for check in good.check()] == [True]
    [check] = wrong.check()
    assert not check.ok
    assert "Invalid client secret" in check.detail
