"""Logs are JSON lines that scripts can filter, readable on a terminal, and keep secrets."""

import asyncio
import io
import json
import logging

import httpx
import pytest

from sentinel import log
from sentinel.errors import SettingsError
from sentinel.testing.server import ScriptedServer, reply


class Terminal(io.StringIO):
    """Claims to be a terminal."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _restore():
    """Give the root logger back to pytest."""
    root, ours = logging.getLogger(), logging.getLogger("sentinel")
    handlers, level, our_level = list(root.handlers), root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_action_and_ids():
    out = io.StringIO()
    log.configure("info", out)
    with log.bound(stage="detect", partition=3):
        log.get("streams.detect").info("kept %s", "it", action="checkpoint", offset=17)
    log.get("x").info("unbound")
    first, second = lines(out)
    assert first["event"] == "kept it"
    assert (first["action"], first["offset"]) == ("checkpoint", 17)
    assert (first["stage"], first["partition"]) == ("detect", 3)
    assert (first["level"], first["logger"]) == ("info", "sentinel.streams.detect")
    assert first["timestamp"].endswith("Z")
    assert "stage" not in second


async def test_ids_stay_with_their_task():
    out = io.StringIO()
    log.configure("info", out)

    async def work(tenant):
        with log.bound(tenant=tenant):
            await asyncio.sleep(0)
            log.get("x").info(tenant)

    await asyncio.gather(*(work(f"t{n}") for n in range(5)))
    assert [line["tenant"] for line in lines(out)] == [line["event"] for line in lines(out)]


def test_the_level_holds_for_ours_and_never_opens_the_libraries():
    out = io.StringIO()
    log.configure("WARNING", out)
    log.get("x").info("quiet")
    log.get("x").warning("loud")
    log.configure("DEBUG", out)
    log.get("x").debug("detail")
    logging.getLogger("librdkafka").debug("noise")
    assert [line["event"] for line in lines(out)] == ["loud", "detail"]


def test_standard_logging_has_the_same_form():
    out = io.StringIO()
    log.configure("info", out)
    logging.getLogger("faust").warning("rebalance %d", 2)
    (line,) = lines(out)
    assert (line["event"], line["logger"], line["level"]) == ("rebalance 2", "faust", "warning")


def test_an_exception_is_structured_and_leaks_no_local_variables():
    out = io.StringIO()
    log.configure("info", out)
    hunter2 = "hun" + "ter2"
    try:
        raise ValueError("bad")
    except ValueError:
        log.get("x").exception("failed", action="load")
    (line,) = lines(out)
    assert line["exception"][0]["exc_value"] == "bad"
    assert hunter2 not in out.getvalue()


def test_secrets_are_hidden_by_name():
    out = io.StringIO()
    log.configure("info", out)
    log.get("x").info("hello", sasl_password="hunter2", api_token="t0k", user="u")
    assert "hunter2" not in out.getvalue()
    assert "t0k" not in out.getvalue()
    assert lines(out)[0]["user"] == "u"


def test_a_value_json_does_not_know_is_written_as_text():
    out = io.StringIO()
    log.configure("info", out)
    log.get("x").info("odd", value={1, 2}, raw=b"\xff")
    assert lines(out)[0]["value"] == "{1, 2}"


def test_a_terminal_gets_text_for_people():
    out = Terminal()
    log.configure("info", out)
    log.get("x").info("hello", action="greet")
    assert "hello" in out.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(out.getvalue())


def test_an_unknown_level_is_a_settings_error():
    with pytest.raises(SettingsError, match="LOUD"):
        log.configure("LOUD")


def test_whole_urls_are_not_logged_for_they_may_be_secrets():
    out = io.StringIO()
    log.configure("debug", out)
    with ScriptedServer() as server:
        server.route("GET", "/host", lambda _request: reply({}))
        httpx.get(f"{server.url}/host", params={"key": "hunter2"})
        assert server.requests[0].param("key") == "hunter2"
    assert "hunter2" not in out.getvalue()
