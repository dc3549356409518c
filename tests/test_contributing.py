"""The skeletons of CONTRIBUTING work as they stand, and keep the contracts of the real ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from connectors._running import config
from connectors._sources import sources
from sentinel.cli import app, rules
from sentinel.settings import Settings
from streams.sinks.base import AlertRow, Rows

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def blocks(kind: str) -> list[str]:
    """Return the code blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", CONTRIBUTING, re.M | re.S)


def skeletons() -> list[str]:
    """Return the blocks whose first line is the path that they belong to."""
    found = [text for kind in ("python", "yaml") for text in blocks(kind)]
    return [text for text in found if re.match(r"# [\w/]+\.\w+\n", text)]


def write(folder: Path, text: str) -> Path:
    """Write a skeleton to its path below `folder`."""
    path = folder / text.split("\n", 1)[0].removeprefix("# ")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def skeleton(folder: Path, start: str) -> Path:
    """Write the skeleton whose path begins with `start`."""
    return write(folder, next(text for text in skeletons() if text.startswith(f"# {start}")))


def load(path: Path) -> Any:
    """Import a skeleton by its path."""
    spec = util.spec_from_file_location(f"skeleton_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where pydantic looks for the names of annotations
    spec.loader.exec_module(module)
    return module


def run_contract(folder: Path, test: str, expression: str) -> str:
    """Run a contract test in `folder`, whose packages come before ours; return what it said."""
    copy = folder / test
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / test, copy)
    fixtures = (ROOT / test).with_name("conftest.py")
    if fixtures.parent.name != "tests":  # the one there starts a stack, which no contract needs
        shutil.copy(fixtures, copy.parent)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", str(copy), "-k", expression],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


def test_the_connector_keeps_the_contract(tmp_path):
    shutil.copytree(ROOT / "connectors", tmp_path / "connectors")
    path = skeleton(tmp_path, "connectors/")
    golden = tmp_path / "tests" / "connectors" / "golden" / path.stem
    golden.mkdir(parents=True)
    event = blocks("json")[0]
    for number in range(12):
        (golden / f"case_{number}.raw.json").write_text(event.replace("ada@", f"ada{number}@"))
    subprocess.run(
        [sys.executable, "-m", "connectors", "golden"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
    )
    first = json.loads((golden / "case_0.ocsf.json").read_text())
    assert first[0]["actor"]["user"]["name"] == "ada0@example.com"

    said = run_contract(tmp_path, "tests/test_contracts.py", path.stem)

    assert int(re.findall(r"(\d+) passed", said)[0]) > 30


def test_the_reader_reads_on_and_says_what_is_wrong(tmp_path, monkeypatch):
    module = load(skeleton(tmp_path, "connectors/_portal/"))
    pages = {0: b'{"n":1}\n{"n":2}\n', 1: b'{"n":3}\n'}
    status = [200]

    def answer(request):
        number = int(request.url.params["page"])
        return httpx.Response(status[0], content=pages.get(number, b""))

    client = httpx.Client
    monkeypatch.setattr(
        module.httpx, "Client", lambda **more: client(transport=httpx.MockTransport(answer), **more)
    )
    chosen = module.PortalSettings(url="https://portal.example.com", token="x")
    reader = module.PortalPages(chosen, None)
    first, second = reader.read(None)
    assert [record.id for record in first.records] == ["page-0#0", "page-0#1"]
    assert list(reader.read(first.position)) == [second]
    assert list(reader.read(second.position)) == []
    status[0] = 403
    with pytest.raises(module.DeniedError, match="log-reader"):
        next(reader.read(None))


def test_the_files_of_inputs_and_mappings_are_taken(tmp_path, monkeypatch):
    inputs_file, mapping = blocks("yml")
    (tmp_path / "portal.yml").write_text(mapping)
    (tmp_path / "inputs").write_text(inputs_file)
    monkeypatch.setenv("PORTAL_TOKEN", "0123456789abcdef")
    known = sources(Settings(mappings=str(tmp_path)))
    assert known["portal"].__doc__ == "Sign-ins of our portal."
    assert [each.name for each in config.read(tmp_path / "inputs", known)] == [
        *("trail", "portal-push"),
    ]


def test_the_model_keeps_the_contract(tmp_path):
    shutil.copytree(ROOT / "detectors", tmp_path / "detectors")
    skeleton(tmp_path, "detectors/models/")
    said = run_contract(tmp_path, "tests/detectors/test_models_contract.py", "NewPair")
    assert int(re.findall(r"(\d+) passed", said)[0]) > 8


def test_the_rule_matches_its_case_and_not_the_other(tmp_path):
    skeleton(tmp_path, "detectors/rules/")
    skeleton(tmp_path, "tests/detectors/rules/")
    folders = tmp_path / "detectors/rules", tmp_path / "tests/detectors/rules"
    outcomes = list(rules.run_cases(*folders))
    assert len(outcomes) == 2
    assert [outcome.problem for outcome in outcomes] == ["", ""]


async def test_the_sink_writes_the_same_batch_once(tmp_path):
    module = load(skeleton(tmp_path, "streams/sinks/"))
    sink = module.FolderSink(SimpleNamespace(folder=tmp_path / "out"))
    alert = AlertRow(
        *("default", "6f1c2a36-3f6e-5f0e-9d3b-0d8f5a0c9b11", "rule", "r", "Title", "auditd"),
        *(4, 0.7, ["T1490"], "web-1/root", '{"what": "x"}', 1, 10, 20, ()),
    )
    key = ("default", "auditd")
    await sink.open()
    first = await sink.write(Rows(alerts=[alert]))
    again = await sink.write(Rows(alerts=[alert]))
    more = await sink.write(Rows(alerts=[alert._replace(count=2)]))
    await sink.close()

    assert (first.alerts[key], again.alerts[key], more.alerts[key]) == (1, 0, 0)
    assert (again.amended[key], more.amended[key]) == (0, 1)
    (written,) = (tmp_path / "out").iterdir()
    assert json.loads(written.read_text())["explanation"] == {"what": "x"}


def test_the_resource_is_a_router_and_the_command_a_command(tmp_path, capsys):
    module = load(skeleton(tmp_path, "api/routes/"))
    assert [route.path for route in module.router.routes] == ["/v1/sources"]
    assert "-- name: alert_sources" in blocks("sql")[0]

    folder = skeleton(tmp_path, "sentinel/cli/").parent
    assert app.run(["--help"], app.build(folder)) == 0
    assert "List the ATT&CK techniques" in capsys.readouterr().out
    assert callable(load(folder / "techniques.py").command)


def test_the_skeletons_are_clean(tmp_path):
    for text in skeletons():
        write(tmp_path, text)
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check"], ["format", "--check"]):
        options = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(tmp_path)]
        done = subprocess.run([*ruff, *command, *options], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode()
