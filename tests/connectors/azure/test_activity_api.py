"""The Office 365 Management Activity API, read over HTTP from a double."""

import json
from datetime import timedelta

import pytest

from connectors._m365.reader import ActivityReader, ActivitySettings
from connectors._reading.base import DeniedError, SourceError
from connectors.m365 import M365
from sentinel.testing.draining import Drain
from sentinel.testing.m365 import ActivityDouble, Content
from sentinel.testing.server import cut, expired, failed, malformed, throttled

KINDS = ["Audit.Exchange", "Audit.SharePoint"]
ANY = r"/api/v1\.0/.*"


@pytest.fixture
def double(server, login, account, now):
    made = ActivityDouble(server, login.tokens, account["tenant_id"])
    for n in range(11):
        records = [
            {"Id": f"{n}-{m}", "Operation": "Send", "CreationTime": "2026-03-02T09:00:00"}
            for m in range(3)
        ]
        created = now - timedelta(hours=30 - 2 * n)
        made.content.append(Content(f"c{n}", KINDS[n % 2], created, records))
    return made


@pytest.fixture
def settings(server, account, now):
    since = now - timedelta(days=2)
    return ActivitySettings(endpoint=server.url, content_types=KINDS, since=since, **account)


@pytest.fixture
def drain(settings, clock, double):
    def make():
        reader = ActivityReader(settings, M365())
        reader.clock = clock
        return reader

    return Drain(make, SourceError)


WANTED = sorted(f"m365:c{n}#{m}" for n in range(11) for m in range(3))


def test_it_subscribes_and_reads_every_record_once(drain, double):
    drain.run()

    assert double.subscribed == set(KINDS)
    assert sorted(drain.ids) == WANTED
    assert M365().to_ocsf(drain.records[0].value)["metadata"]["uid"] == "0-0"


def test_failures_lose_nothing_and_double_nothing(server, drain):
    server.script(
        ANY, None, None, None, throttled(5), failed(503), expired(), cut(), malformed(), None, cut()
    )
    drain.run(tries=20)

    assert sorted(drain.ids) == WANTED
    assert 5.0 in [error.retry_after_s for error in drain.errors]
    assert not [error for error in drain.errors if isinstance(error, DeniedError)]


def test_a_crash_anywhere_loses_nothing_and_what_is_late_comes_too(drain, double, now, clock):
    for pages in (1, 2, 3):
        drain.run(pages=pages)
    drain.run()
    double.content.append(Content("late", KINDS[0], now - timedelta(minutes=20), [{"Id": "late"}]))
    clock.move(60)
    drain.run()

    assert set(drain.ids) == {*WANTED, "m365:late#0"}
    assert drain.ids.count("m365:late#0") == 1


def test_content_that_is_gone_becomes_a_dead_letter(drain, double):
    double.expired = {"c3"}
    drain.run()

    [lost] = [record for record in drain.records if record.problem]
    assert lost.id == "m365:c3"
    assert lost.problem.startswith("expired: ")
    assert len(drain.ids) == 31


def test_content_elsewhere_is_not_fetched(drain, double, server, monkeypatch):
    monkeypatch.setattr(
        double, "_row", lambda one: {"contentUri": "https://x.test/", "contentId": "x"}
    )
    with pytest.raises(AssertionError, match=r"x\.test"):
        drain.run(tries=2)


def test_tokens_that_run_out_all_the_time(login, drain):
    login.tokens.uses = 4
    drain.run(tries=20)

    assert sorted(drain.ids) == WANTED


def test_check_names_the_missing_permission(server, settings, double, made):
    [check] = made(ActivityReader(settings, M365())).check()
    assert (check.ok, check.detail) == (True, "none yet")

    server.script(ANY, *[expired()] * 2)
    [check] = made(ActivityReader(settings, M365())).check()
    assert not check.ok
    assert "ActivityFeed.Read" in check.detail


def test_listing_names_content_for_reconciliation(settings, double, made, now, drain):
    drain.run()
    reader = made(ActivityReader(settings, M365()))

    listed = {one.id for one in reader.listing(now - timedelta(days=3), now)}
    assert listed == {name.partition("#")[0] for name in WANTED}
    assert json.loads(drain.records[0].value)["Operation"] == "Send"
