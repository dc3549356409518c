"""Microsoft Graph, read over HTTP from a double, with tokens of the real azure-identity."""

import json

import pytest

from connectors._azure.reading.graph import GraphReader, GraphSettings
from connectors._reading.base import DeniedError, SourceError
from connectors.azure_audit import AzureAudit
from connectors.azure_signin import AzureSignin
from sentinel.testing.azure import GraphDouble
from sentinel.testing.draining import Drain
from sentinel.testing.server import cut, expired, failed, malformed, reply, throttled

PLACE = "auditLogs/signIns"
PATH = f"/v1.0/{PLACE}"


@pytest.fixture
def events(times):
    return [
        {"id": f"signin-{n}", "createdDateTime": times(150 - 7 * n), "userPrincipalName": "ada"}
        for n in range(20)
    ]


@pytest.fixture
def double(server, login, events):
    return GraphDouble(server, login.tokens, {PLACE: events})


@pytest.fixture
def drain(server, account, now, clock, double):
    def make():
        settings = GraphSettings(endpoint=server.url, since=now.replace(hour=9), **account)
        reader = GraphReader(settings, AzureSignin())
        reader.clock = clock
        return reader

    return Drain(make, SourceError)


def wanted(events):
    return sorted(f"graph:signIns/{event['id']}" for event in events)


def test_every_event_once_with_its_own_bytes(drain, events):
    drain.run()

    assert sorted(drain.ids) == wanted(events)
    assert json.loads(drain.records[0].value)["userPrincipalName"] == "ada"


def test_pages_in_the_wrong_order_lose_nothing_also_over_a_crash(drain, double, events):
    double.reverse = True
    drain.run(pages=2)
    drain.run()

    assert set(drain.ids) == set(wanted(events))
    assert len(drain.ids) <= len(events) + 3  # the page that was killed comes again, no other


def test_what_is_listed_is_what_is_read(drain, now):
    drain.run()

    assert sorted(drain.listed(now.replace(hour=9), now)) == sorted(drain.ids)


def test_failures_lose_nothing_and_double_nothing(server, drain, events):
    server.script(PATH, None, throttled(3), failed(500), expired(), cut(), malformed(), None, cut())
    drain.run()

    assert sorted(drain.ids) == wanted(events)
    assert [e.retry_after_s for e in drain.errors if "429" in str(e)] == [3.0]
    assert not [error for error in drain.errors if isinstance(error, DeniedError)]


def test_what_shows_up_late_is_read_once(drain, events, clock, times):
    drain.run()
    events.append({"id": "late", "createdDateTime": times(10)})
    clock.move(120)
    drain.run()

    assert sorted(drain.ids) == wanted(events)


def test_a_page_elsewhere_is_not_followed(server, drain):
    answer = {"value": [], "@odata.nextLink": "https://mallory.example.net/steal"}
    server.script(PATH, *[lambda _, __: reply(answer)] * 3)
    with pytest.raises(AssertionError, match="mallory"):
        drain.run(tries=2)


def test_a_page_that_leads_to_itself_ends(server, drain, double):
    loop = {"value": [], "@odata.nextLink": f"{server.url}{PATH}?$skiptoken=0"}
    server.script(PATH, *[lambda _, __: reply(loop)] * 6)
    with pytest.raises(AssertionError, match="another page"):
        drain.run(tries=2)


def test_a_missing_permission_is_named(server, account, double, made):
    settings = GraphSettings(endpoint=server.url, **account)
    [check] = made(GraphReader(settings, AzureAudit())).check()

    assert not check.ok
    assert "AuditLog.Read.All" in check.detail
    assert "directoryAudits" in server.requests[-1].path


def test_event_types_are_asked_of_the_beta(server, account, double, now, clock, made):
    settings = GraphSettings(
        endpoint=server.url, since=now.replace(hour=11), event_types=["servicePrincipal"], **account
    )
    reader = made(GraphReader(settings, AzureSignin()))
    reader.clock = clock
    list(reader.read(None))

    assert "t eq 'servicePrincipal'" in server.asked(f"/beta/{PLACE}")[0].param("$filter")


def test_a_login_that_cannot_be_reached_is_no_refusal(server, account, double, made):
    away = account | {"authority": "https://localhost:1"}
    settings = GraphSettings(endpoint=server.url, **away)
    with pytest.raises(SourceError, match="localhost:1") as raised:
        next(made(GraphReader(settings, AzureSignin())).read(None))
    assert not isinstance(raised.value, DeniedError)
