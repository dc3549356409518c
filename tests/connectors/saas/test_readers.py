"""Okta, GitHub and Google Workspace against doubles of their APIs, over HTTP.

For each: everything once by its id, in spite of pages, throttling, tokens that expire, answers
that do not parse, broken connections, events that show up late, pages in another order, and a
process that is killed after each page.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from connectors._github.reader import GitHubReader
from connectors._gworkspace.reader import ReportsReader
from connectors._okta.reader import OktaReader
from connectors._reading.base import DeniedError, Reader, SourceError
from connectors.github import GitHub
from connectors.gworkspace import GWorkspace
from connectors.okta import Okta
from sentinel.testing import github, gworkspace, okta
from sentinel.testing.clock import Clock
from sentinel.testing.draining import Drain
from sentinel.testing.server import (
    ScriptedServer,
    Tokens,
    cut,
    expired,
    failed,
    malformed,
    reply,
    throttled,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLOCK = Clock(NOW.timestamp())
SINCE = NOW - timedelta(hours=3)
COUNT = 23


def when(index: int) -> datetime:
    """Return the time of an event; some have the same."""
    return SINCE + timedelta(minutes=7 * (index // 2) + 1)


class Stage(NamedTuple):
    """A double, how to make its reader, its path, and how to add an event."""

    server: ScriptedServer
    make: Callable[[], Reader]
    path: str
    events: list[dict[str, Any]]
    new: Callable[[str, datetime], dict[str, Any]]
    limited: Callable[[float], Any]


def iso(moment: datetime) -> str:
    """Return a time as Okta and Google write it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def prepared(made: Reader) -> Reader:
    """Return the reader at the time of the test."""
    made.clock = CLOCK  # type: ignore[attr-defined]
    return made


def okta_stage(server: ScriptedServer, tmp_path: Any) -> Stage:
    def event(name: str, moment: datetime) -> dict[str, Any]:
        return {"uuid": name, "published": iso(moment), "eventType": "user.session.start"}

    double = okta.OktaDouble(server, [], 4)
    settings = OktaReader.Settings(url=server.url, token=double.token, since=SINCE)
    return Stage(
        server,
        lambda: prepared(OktaReader(settings, Okta())),
        "/api/v1/logs",
        double.events,
        event,
        okta.limited,
    )


def github_stage(server: ScriptedServer, tmp_path: Any) -> Stage:
    def event(name: str, moment: datetime) -> dict[str, Any]:
        stamp = int(moment.timestamp() * 1000)
        return {"_document_id": name, "@timestamp": stamp, "action": "git.clone"}

    double = github.GitHubDouble(server, [], 4)
    settings = GitHubReader.Settings(
        organization="example", url=server.url, token=double.token, since=SINCE
    )
    return Stage(
        server,
        lambda: prepared(GitHubReader(settings, GitHub())),
        "/orgs/example/audit-log",
        double.events,
        event,
        github.limited,
    )


def gworkspace_stage(server: ScriptedServer, tmp_path: Any) -> Stage:
    def event(name: str, moment: datetime) -> dict[str, Any]:
        identity = {"time": iso(moment), "uniqueQualifier": name, "applicationName": "login"}
        return {"id": identity, "events": [{"name": "login_success"}]}

    double = gworkspace.WorkspaceDouble(server, Tokens(), [], 4)
    settings = ReportsReader.Settings(
        key_file=str(gworkspace.key_file(tmp_path / "key.json", server)),
        subject="admin@example.com",
        applications=["login", "admin"],
        endpoint=server.url,
        since=SINCE,
    )
    return Stage(
        server,
        lambda: prepared(ReportsReader(settings, GWorkspace())),
        "/admin/reports/v1/activity/users/all/applications/login",
        double.activities,
        event,
        throttled,
    )


STAGES = {"okta": okta_stage, "github": github_stage, "gworkspace": gworkspace_stage}


@pytest.fixture(params=sorted(STAGES))
def stage(request, tmp_path):
    CLOCK.now = NOW.timestamp()
    with ScriptedServer() as server:
        made = STAGES[request.param](server, tmp_path)
        made.events.extend(made.new(f"e{index}", when(index)) for index in range(COUNT))
        yield made


def names(drain: Drain) -> list[str]:
    """Return the names of the events that came, in order."""
    return [name.rpartition("/")[2].rpartition(":")[2] for name in drain.ids]


EVERY = {f"e{index}" for index in range(COUNT)}


def test_everything_comes_once(stage):
    drain = Drain(stage.make, SourceError)
    drain.run()
    assert sorted(names(drain)) == sorted(EVERY)
    CLOCK.move(60)
    drain.run()
    assert len(drain.records) == COUNT, "a second look finds nothing new"


def test_failures_lose_nothing_and_double_nothing(stage):
    faults = (None, failed(503), malformed(), None, cut(), malformed(b"[{]"), stage.limited(0))
    stage.server.script(stage.path, *faults)
    drain = Drain(stage.make, SourceError)
    drain.run()
    assert stage.server.left() == 0
    assert sorted(names(drain)) == sorted(EVERY)
    assert len(drain.errors) == 5


def test_killed_after_every_page(stage):
    """What was on its way when the process died comes again, under the same id, and no more."""
    drain = Drain(stage.make, SourceError)
    for _ in range(6):
        drain.run(pages=1)
        drain.run(pages=2)
    drain.run()
    assert set(names(drain)) == EVERY


def test_late_events_and_pages_in_another_order(stage):
    drain = Drain(stage.make, SourceError)
    drain.run()
    late = [stage.new(f"late{n}", NOW - timedelta(minutes=5 + n)) for n in range(3)]
    stage.events[:0] = late
    stage.events.reverse()
    CLOCK.move(60)
    drain.run()
    assert sorted(names(drain)) == sorted(EVERY | {"late0", "late1", "late2"})


def test_what_is_listed_is_what_is_read(stage, monkeypatch):
    """Over any span, in spite of throttling: under the same ids, so that a gap shows."""
    monkeypatch.setattr("connectors._reading.polling.windows._PAUSE_S", (0.0, 0.0))
    drain = Drain(stage.make, SourceError)
    drain.run()
    stage.server.script(stage.path, None, stage.limited(0), failed(503))
    cuts = [SINCE, SINCE + timedelta(minutes=8), SINCE + timedelta(minutes=29, seconds=1), NOW]
    with closing(stage.make()) as reader:
        listed = [each for span in pairwise(cuts) for each in reader.listing(*span)]
    assert stage.server.left() == 0
    assert sorted(each.id for each in listed) == sorted(drain.ids)
    assert sorted(each.time for each in listed) == [when(index) for index in range(COUNT)]


def test_throttling_says_for_how_long(stage):
    stage.server.script(stage.path, stage.limited(90))
    with closing(stage.make()) as reader, pytest.raises(SourceError) as refused:
        list(reader.read(None))
    assert not isinstance(refused.value, DeniedError)
    assert refused.value.retry_after_s == pytest.approx(90, abs=5)


def test_a_page_that_leads_elsewhere_is_not_followed(stage):
    answer = reply([{"uuid": "x"}], 200, Link='<https://attacker.example.net/?after=1>; rel="next"')
    if "reports" in stage.path:
        answer = reply({"items": [{}], "nextPageToken": "same"})
    stage.server.script(stage.path, *[lambda _r, _a: answer] * 3)
    with (
        closing(stage.make()) as reader,
        pytest.raises(SourceError, match="expected another page"),
    ):
        list(reader.read(None))


def test_check_says_that_it_works(stage):
    with closing(stage.make()) as reader:
        assert all(check.ok for check in reader.check())


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("okta", "okta.logs.read"),
        ("github", "read:audit_log"),
        ("gworkspace", "admin.reports.audit.readonly"),
    ],
)
def test_check_names_the_right_that_is_missing(name, right, tmp_path):
    with ScriptedServer() as server:
        made = STAGES[name](server, tmp_path)
        if name == "gworkspace":
            server.route("POST", "/token", lambda _: reply({"error": "unauthorized_client"}, 401))
        else:
            status = 404 if name == "github" else 403
            server.script(made.path, failed(status))
        with closing(made.make()) as reader:
            first = next(iter(reader.check()))
    assert not first.ok
    assert right in first.detail


def test_an_access_token_that_ran_out_is_fetched_anew(tmp_path):
    with ScriptedServer() as server:
        made = gworkspace_stage(server, tmp_path)
        made.events.extend(made.new(f"e{index}", when(index)) for index in range(COUNT))
        server.script(made.path, None, expired(), None, expired())
        drain = Drain(made.make, SourceError)
        drain.run()
        assert drain.errors == []
        assert sorted(names(drain)) == sorted(EVERY)
        assert len(server.asked("/token")) == 3


def test_settings_want_either_an_organization_or_an_enterprise():
    with pytest.raises(ValueError, match="either organization or enterprise"):
        GitHubReader.Settings(token="x")
