"""Jira on a double that keeps issues: created once, commented, resolved from either side."""

from __future__ import annotations

import re

import pytest

from sentinel.testing.server import Response, cut, failed, reply

CONFIG = {"user": "bot@example.com", "token": "t", "project": "SEC"}


class Issues:
    """Enough of Jira: search by label, create, comment, transitions."""

    def __init__(self, server, search="/rest/api/3/search/jql"):
        self.all = {}
        server.route("POST", search, self.search)
        server.route("POST", "/rest/api/2/issue", self.create)
        server.route("POST", r"/rest/api/2/issue/[^/]+/comment", self.comment)
        server.route("GET", r"/rest/api/2/issue/[^/]+/transitions", self.transitions)
        server.route("POST", r"/rest/api/2/issue/[^/]+/transitions", self.move)
        server.route("GET", r"/rest/api/2/issue/[^/]+", self.show)

    def of(self, request):
        return self.all[request.path.split("/")[5]]

    def search(self, request):
        label = re.search(r'labels = "([^"]+)"', request.json()["jql"])[1]
        keys = [key for key, issue in self.all.items() if label in issue["labels"]]
        return reply({"issues": [{"key": key} for key in keys]})

    def create(self, request):
        key = f"SEC-{len(self.all) + 1}"
        self.all[key] = request.json()["fields"] | {"comments": [], "done": False}
        return reply({"key": key}, 201)

    def comment(self, request):
        self.of(request)["comments"].append(request.json()["body"])
        return reply({}, 201)

    def transitions(self, request):
        steps = [("11", "In Progress", "indeterminate"), ("31", "Done", "done")]
        return reply(
            {
                "transitions": [
                    {"id": i, "name": n, "to": {"statusCategory": {"key": c}}} for i, n, c in steps
                ]
            }
        )

    def move(self, request):
        self.of(request)["done"] = request.json()["transition"]["id"] == "31"
        return Response(204)

    def show(self, request):
        category = "done" if self.of(request)["done"] else "new"
        return reply({"fields": {"status": {"statusCategory": {"key": category}}}})


@pytest.fixture
def issues(server):
    return Issues(server)


@pytest.fixture
def jira(adapter, server):
    return adapter("jira", CONFIG | {"url": server.url})


async def test_created_commented_and_resolved(jira, issues, server, item, message):
    told = item()
    made = await jira.send(message(told))
    assert (made.reference, made.url) == ("SEC-1", f"{server.url}/browse/SEC-1")
    issue = issues.all["SEC-1"]
    assert issue["summary"] == "[critical] Root logged in"
    assert issue["labels"] == ["sentinel", f"sentinel-{told.data['id']}"]
    await jira.send(message(told._replace(type="alert.amended"), reference="SEC-1"))
    assert len(issue["comments"]) == 1
    assert await jira.closed(["SEC-1"]) == set()
    over = message(told._replace(type="alert.resolved"), reference="SEC-1")
    assert not (await jira.send(over)).error
    assert await jira.closed(["SEC-1"]) == {"SEC-1"}
    assert not (await jira.send(over)).error, "the second time changes nothing"
    assert len(issue["comments"]) == 2
    assert server.requests[0].headers["authorization"].startswith("Basic ")


async def test_where_the_answer_was_lost_the_issue_is_found_again(
    jira, issues, server, item, message
):
    told = message(item())
    server.script("/rest/api/2/issue", cut())
    assert (await jira.send(told)).error
    assert (await jira.send(told)).reference == "SEC-1"
    assert len(issues.all) == 1


async def test_data_center_has_another_search(adapter, server, item, message):
    found = Issues(server, search="/rest/api/2/search")
    jira = adapter("jira", CONFIG | {"url": server.url})
    assert (await jira.send(message(item()))).reference == "SEC-1"
    assert len(found.all) == 1


async def test_a_resolved_alert_without_an_issue_makes_none(jira, issues, item, message):
    assert not (await jira.send(message(item("alert.resolved")))).error
    assert issues.all == {}


async def test_errors(jira, issues, server, item, message):
    server.script("/rest/api/3/search/jql", failed(401))
    assert (await jira.send(message(item()))).status == 401
    server.script("/rest/api/2/issue", failed(400))
    assert (await jira.send(message(item()))).permanent
