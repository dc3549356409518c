"""`sentinel connector`: what is configured, what can be, and what is wrong with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentinel.cli import app

TOKEN = "0123456789abcdef"


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return ``configure(entries)``, which writes the file of inputs."""
    path = tmp_path / "inputs.yml"
    monkeypatch.setenv("SENTINEL_CONNECTORS", str(path))
    monkeypatch.setenv("PUSH_TOKEN", TOKEN)

    def write(*entries: Any) -> None:
        path.write_text(entries[0] if isinstance(entries[0], str) else yaml.safe_dump([*entries]))

    return write


def entry(**change: Any) -> dict[str, Any]:
    made = {"name": "push", "source": "generic", "reader": "http", "tenant": "acme"}
    made["settings"] = {"port": 0, "token": "env:PUSH_TOKEN"}
    return made | change


def test_inputs_and_sources_are_listed(configure: Any, capfdbinary: Any) -> None:
    configure(entry())
    assert app.run(["connector", "list", "--json"]) == 0
    found = json.loads(capfdbinary.readouterr().out)
    assert found["inputs"] == [
        {"name": "push", "source": "generic", "reader": "http", "tenant": "acme"}
    ]
    sources = {row["source"]: row for row in found["sources"]}
    assert {"files", "tail", "http", "kafka", "unix", "s3", "s3-sqs"} <= set(
        sources["cloudtrail"]["readers"]
    )
    assert sources["cloudtrail"]["about"]
    assert app.run(["connector", "list"]) == 0
    assert b"push" in capfdbinary.readouterr().out


def test_every_way_in_of_every_source_is_described(capfdbinary: Any) -> None:
    """Each can be imported, and each setting says what it is."""
    assert app.run(["connector", "list", "--json"]) == 0
    sources = json.loads(capfdbinary.readouterr().out)["sources"]
    seen: set[tuple[str, ...]] = set()
    for row in sources:
        if (readers := tuple(row["readers"])) in seen:
            continue
        seen.add(readers)
        assert app.run(["connector", "describe", row["source"], "--json"]) == 0
        told = capfdbinary.readouterr()
        found = [json.loads(line) for line in told.out.splitlines()]
        assert [each["reader"] for each in found] == row["readers"], told.err.decode()
        for each in found:
            assert each["about"]
            assert all(setting["description"] for setting in each["settings"]), each["reader"]
        assert not re.search(r"pathlib|frozenset\(|\[\]", told.out.decode())


def test_describe_of_a_source_that_is_none(capfd: Any) -> None:
    assert app.run(["connector", "describe", "nope"]) == 1
    assert "expected a source among" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "No Name"}, "No Name: name: "),
        ({"source": "nope"}, "push: source: expected one of "),
        ({"reader": "pull"}, "push: reader: expected one of "),
        ({"more": 1}, "push: more: expected one of name, source, reader, tenant, settings"),
        ({"settings": {"token": "env:PUSH_TOKEN"}}, "push: settings.port: expected a value"),
        (
            {"settings": {"port": 0, "token": "openly-written-down"}},
            "settings.token: expected a secret as env:NAME or file:/path",
        ),
        ({"settings": {"port": 0, "token": "env:NOT_SET"}}, "expected the variable of env:NOT_SET"),
        ({"settings": {"port": 0, "token": "file:/not/there"}}, "expected a readable file at file"),
        ({"settings": {"port": -1, "token": "env:PUSH_TOKEN"}}, "settings.port: Input should be"),
        ({"tenant": "a/b"}, "push: tenant: "),
    ],
)
def test_a_mistake_names_file_entry_field_and_what_was_expected(
    configure: Any, capfd: Any, change: dict[str, Any], told: str
) -> None:
    configure(entry(**change))
    assert app.run(["connector", "list"]) == 1
    found = capfd.readouterr().err
    assert told in found
    assert "inputs.yml: " in found
    assert TOKEN not in found
    assert "openly" not in found


def test_names_are_unique_and_the_file_is_a_list(configure: Any, capfd: Any) -> None:
    configure(entry(), entry())
    assert app.run(["connector", "list"]) == 1
    assert "name: expected one that no other entry has" in capfd.readouterr().err
    configure("a: [")
    assert app.run(["connector", "list"]) == 1
    assert "expected YAML" in capfd.readouterr().err
    configure("a: 1")
    assert app.run(["connector", "list"]) == 1
    assert "expected a list" in capfd.readouterr().err


def test_a_secret_comes_from_a_file_without_its_line_break(
    configure: Any, tmp_path: Path, capfd: Any
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    configure(entry(settings={"port": 0, "token": f"file:{tmp_path / 'token'}"}))
    assert app.run(["connector", "test", "push"]) == 0
    assert "ok       listen on 127.0.0.1:0" in capfd.readouterr().out


def test_test_says_what_is_missing(configure: Any, tmp_path: Path, capfd: Any) -> None:
    missing = {"paths": [str(tmp_path / "no.log")]}
    configure(entry(name="log", reader="tail", settings=missing))
    assert app.run(["connector", "test", "log"]) == 1
    told = capfd.readouterr()
    assert "MISSING" in told.out
    assert "there is no such file" in told.out
    assert "1 of the checks failed" in told.err
    assert app.run(["connector", "test", "other"]) == 1
    assert "expected inputs among log, found other" in capfd.readouterr().err


def test_run_without_a_file_of_inputs_says_what_to_do(capfd: Any) -> None:
    assert app.run(["connector", "run"]) == 1
    assert "SENTINEL_CONNECTORS" in capfd.readouterr().err
