"""The double of an HTTP API fails in the ways it is told to, and in no other."""

import ssl

import httpx
import pytest

from sentinel.testing.server import (
    Request,
    Response,
    ScriptedServer,
    Tokens,
    cut,
    expired,
    failed,
    malformed,
    paged,
    reply,
    throttled,
)


@pytest.fixture
def server():
    with ScriptedServer() as running:
        running.route("GET", "/items", lambda request: reply({"q": request.param("q")}))
        yield running


def test_it_answers_by_route_and_remembers_what_was_asked(server):
    server.route("POST", "/form", lambda request: reply(request.form(), 201, X_Seen="yes"))

    assert httpx.get(f"{server.url}/items?q=a%20b").json() == {"q": "a b"}
    posted = httpx.post(f"{server.url}/form", data={"a": "1"}, headers={"X-Own": "2"})
    missing = httpx.get(f"{server.url}/nothing")

    assert (posted.status_code, posted.json(), posted.headers["x-seen"]) == (201, {"a": "1"}, "yes")
    assert missing.status_code == 404
    assert [request.path for request in server.requests] == ["/items", "/form", "/nothing"]
    assert server.asked("/form")[0].headers["x-own"] == "2"


def test_the_last_route_wins(server):
    server.route("GET", "/i.*", lambda _: Response(204))

    assert httpx.get(f"{server.url}/items").status_code == 204


def test_faults_happen_once_in_the_order_they_were_lined_up(server):
    server.script("/items", None, throttled(1.5), failed(502), expired(), malformed(), cut())
    seen = []
    for _ in range(5):
        answer = httpx.get(f"{server.url}/items")
        seen.append((answer.status_code, answer.headers.get("retry-after"), answer.text))

    assert [status for status, _, _ in seen] == [200, 429, 502, 401, 200]
    assert seen[1][1] == "1.5"
    assert seen[4][2] == '{"q"'
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{server.url}/items")
    assert server.left() == 0
    assert httpx.get(f"{server.url}/items").json() == {"q": ""}


def test_a_malformed_answer_may_be_any_bytes(server):
    server.script("/items", malformed(b"<html>"))

    assert httpx.get(f"{server.url}/items").text == "<html>"


def test_tls_with_a_certificate_of_its_own():
    with ScriptedServer(tls=True) as server:
        server.route("GET", "/", lambda request: reply(request.bearer()))
        trusting = ssl.create_default_context(cafile=server.certificate.path)
        answer = httpx.get(f"{server.url}/", verify=trusting, headers={"Authorization": "Bearer t"})

        assert answer.json() == "t"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/")


def test_tokens_run_out():
    tokens = Tokens(uses=2)
    one, two = tokens.issue(), tokens.issue()

    assert [tokens.good(one) for _ in range(3)] == [True, True, False]
    assert tokens.good(two)
    tokens.revoke()
    assert not tokens.good(two)
    assert not tokens.good("")
    assert (tokens.issued, Tokens().good("x")) == (2, False)


def test_pages_hold_everything_once():
    items, token = paged(range(5), "", 2)
    found = [*items]
    while token:
        items, token = paged(range(5), token, 2)
        found += items

    assert found == [0, 1, 2, 3, 4]


def test_a_request_without_a_body_has_no_json():
    with pytest.raises(ValueError, match="Expecting value"):
        Request("GET", "/", {}, {}, b"").json()
