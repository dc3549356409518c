"""AWS's APIs in windows of time: every record once, tokens that expire included."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest

from connectors._aws.findings import GuardDutyFindings, SecurityHubFindings
from connectors._aws.logs import LogEvents
from connectors._aws.lookup import LookupEvents
from connectors._reading.base import DeniedError
from connectors._reading.ways import load, ways
from connectors.cloudtrail import CloudTrail
from connectors.eks_audit import EksAudit
from connectors.guardduty import GuardDuty
from connectors.securityhub import SecurityHub
from connectors.vpc_flow import VpcFlow

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def reader(aws):
    made = []

    def make(kind, **given):
        given = {"endpoint_url": aws.url, "attempts": 2} | given
        made.append(kind(kind.Settings.model_validate(given), CloudTrail()))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("source", [CloudTrail, EksAudit, GuardDuty, SecurityHub, VpcFlow])
def test_every_way_into_a_source_of_aws_loads_and_explains_its_settings(source):
    for place in ways(source).values():
        if place.startswith("connectors._aws."):
            settings = load(place).Settings
            assert all(field.description for field in settings.model_fields.values())


def ids(pages) -> list[str]:
    return [record.id for page in pages for record in page.records]


class History:
    """CloudTrail's event history: newest first, 50 a page, tokens that can be made to expire."""

    def __init__(self, count: int) -> None:
        self.events = {f"id-{n}": NOW - timedelta(minutes=n) for n in range(count)}
        self.expired = False

    def __call__(self, method, path, body):
        if not path.endswith("LookupEvents"):
            return None
        asked = json.loads(body)
        first = int(asked.get("NextToken", "0"))
        if first and self.expired:
            self.expired = False
            return 400, {}, b'{"__type": "InvalidNextTokenException", "message": "old"}'
        inside = sorted(
            (at, id)
            for id, at in self.events.items()
            if asked["StartTime"] <= at.timestamp() <= asked["EndTime"]
        )[::-1]
        rows = [
            {"EventId": id, "CloudTrailEvent": json.dumps({"eventID": id})}
            for _, id in inside[first : first + 50]
        ]
        answer = {"Events": rows}
        if len(inside) > first + 50:
            answer["NextToken"] = str(first + 50)
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode()


def test_the_event_history_from_any_page(aws, reader, monkeypatch):
    monkeypatch.setattr(LookupEvents, "pause_s", 0)
    history = History(300)
    aws.faults.append(history)
    mine = reader(LookupEvents, since=NOW - timedelta(hours=5), settle_s=1, window_s=4000)
    pages = list(mine.read(None))
    whole = ids(pages)
    assert len(whole) == len(set(whole)) == 300
    assert {json.loads(r.value)["eventID"] for p in pages for r in p.records} == set(history.events)
    for at in range(len(pages)):
        rest = ids(mine.read(json.loads(json.dumps(pages[at].position))))
        assert ids(pages[: at + 1]) + rest == whole
    listed = [each.id for each in mine.listing(NOW - timedelta(hours=5), NOW)]
    assert sorted(listed) == sorted(name for name in whole if name[-5:] != ":id-0")  # now: not yet
    middle = next(page for page in pages if "token" in page.position)
    history.expired = True
    again = ids(mine.read(middle.position))
    done = whole[: whole.index(middle.records[-1].id) + 1]
    assert set(done) | set(again) == set(whole)
    history.events["id-new"] = NOW
    assert ids(mine.read({"from": int((NOW - timedelta(seconds=1)).timestamp() * 1000)}))


def test_history_of_more_than_ninety_days_is_not_asked_for(aws, reader, monkeypatch):
    monkeypatch.setattr(LookupEvents, "pause_s", 0)
    asked = []
    aws.faults.append(lambda m, path, body: asked.append(json.loads(body)) or (200, {}, b"{}"))
    mine = reader(LookupEvents, since=NOW - timedelta(days=900), window_s=86_400)
    pages = list(mine.read(None))
    assert 89 <= len(pages) <= 91
    assert asked[0]["StartTime"] >= (NOW - timedelta(days=90)).timestamp() - 5


def test_log_groups(aws, cloud, reader):
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/aws/eks/x/cluster")
    given = {"logGroupName": "/aws/eks/x/cluster", "logStreamName": "kube-apiserver-audit-1"}
    logs.create_log_stream(**given)
    start = int((NOW - timedelta(minutes=30)).timestamp() * 1000)
    events = [{"timestamp": start + n, "message": f'{{"n": {n}}}'} for n in range(2500)]
    logs.put_log_events(**given, logEvents=events)
    given = {"log_group": "/aws/eks/x/cluster", "since": NOW - timedelta(hours=1), "settle_s": 0}
    mine = reader(LogEvents, streams="kube-apiserver-audit", header="above", **given)
    pages = list(mine.read(None))
    assert len(set(ids(pages))) == len(ids(pages)) == 2500
    values = [record.value for page in pages for record in page.records]
    assert values[0] == b'above\n{"n": 0}'
    assert all(check.ok for check in mine.check())


def test_guardduty(aws, reader):
    found = {f"f{n}": int((NOW - timedelta(minutes=n + 10)).timestamp() * 1000) for n in range(70)}

    def answer(method, path, body):
        asked = json.loads(body) if body else {}
        if path.startswith("/detector/d/findings/get"):
            rows = [
                {"id": id, "arn": f"arn:{id}", "updatedAt": f"{found[id]}", "type": "X"}
                for id in asked["findingIds"]
            ]
            return 200, {}, json.dumps({"findings": rows}).encode()
        if path.startswith("/detector/d/findings"):
            span = asked["findingCriteria"]["criterion"]["updatedAt"]
            least, end = span["greaterThanOrEqual"], span["lessThan"]
            inside = sorted((at, id) for id, at in found.items() if least <= at < end)
            first = int(asked.get("nextToken") or 0)
            rows = [id for _, id in inside[first : first + 50]]
            more = str(first + 50) if len(inside) > first + 50 else ""
            return 200, {}, json.dumps({"findingIds": rows, "nextToken": more}).encode()
        if path.startswith("/detector"):
            return 200, {}, b'{"detectorIds": ["d"]}'
        return None

    aws.faults.append(answer)
    mine = reader(GuardDutyFindings, since=NOW - timedelta(hours=3), window_s=7200)
    pages = list(mine.read(None))
    assert ids(pages) == [f"arn:f{n}@{found[f'f{n}']}" for n in range(69, -1, -1)]
    assert json.loads(pages[0].records[0].value)["Arn"] == "arn:f69"


def test_security_hub(aws, reader):
    calls = []

    def answer(method, path, body):
        if not unquote(path).startswith("/findings"):
            return None
        asked = json.loads(body)
        calls.append(asked)
        more = {"NextToken": "t"} if "NextToken" not in asked and len(calls) == 1 else {}
        row = {"Id": f"f{len(calls)}", "UpdatedAt": "2026-01-01T00:00:00Z", "Title": "x"}
        return 200, {}, json.dumps({"Findings": [row], **more}).encode()

    aws.faults.append(answer)
    since = NOW - timedelta(minutes=20)
    pages = list(reader(SecurityHubFindings, since=since, window_s=86_400).read(None))
    assert [id.partition("@")[0] for id in ids(pages)] == ["f1", "f2"]
    (span,) = calls[0]["Filters"]["UpdatedAt"]
    assert span["Start"] == since.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    refused = b'{"__type": "AccessDeniedException", "Message": "no"}'
    aws.faults[:] = [lambda *asked: (403, {"x-amzn-ErrorType": "AccessDeniedException"}, refused)]
    with pytest.raises(DeniedError, match="securityhub:GetFindings"):
        list(reader(SecurityHubFindings).read(None))


def test_a_role_of_another_account_is_assumed(aws, cloud, reader):
    role = "arn:aws:iam::210987654321:role/reader"
    given = {"log_group": "g", "role_arn": role, "external_id": "secret", "settle_s": 0}
    bodies = []
    aws.faults.append(lambda m, path, body: bodies.append(body))
    first = next(iter(reader(LogEvents, **given).check()))
    assert first.ok
    assert "210987654321:assumed-role/reader/sentinel" in first.detail
    assert any(b"ExternalId=secret" in body for body in bodies)
