"""README, REFERENCE and CONTRIBUTING say what is so: settings, topics, commands, fields, links."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from api.app import create
from api.routes.alerts import Alert
from api.routes.events import Event
from sentinel import metrics, topics
from sentinel.cli import app, bench, status
from sentinel.kafka import TopicState
from sentinel.settings import Settings
from streams.runtime.letterbox import Letter

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(ROOT.glob("*.md"))
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "REFERENCE.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
#: What a line of a console block may begin with, besides commands of ours.
TOOLS = {
    "cat",
    "cd",
    "curl",
    "docker",
    "export",
    "git",
    "head",
    "kcat",
    "source",
    "tail",
    ".venv/bin/pre-commit",
}
GLYPHS = {
    **{"─": "LR", "│": "UD", "┌": "RD", "┐": "LD", "└": "RU", "┘": "LU"},
    **{"├": "RUD", "┤": "LUD", "┬": "LRD", "┴": "LRU", "┼": "LRUD"},
}
HEADS = {"▶": "R", "◀": "L", "▼": "D", "▲": "U"}
STEP = {"L": (0, -1), "R": (0, 1), "U": (-1, 0), "D": (1, 0)}
BACK = {"L": "R", "R": "L", "U": "D", "D": "U"}


def blocks(page: str, kind: str) -> list[str]:
    """Return the code blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", page, re.M | re.S)


def section(page: str, title: str) -> str:
    """Return what stands below a heading."""
    return re.split(r"^## ", page.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def table(text: str) -> list[list[str]]:
    """Return the cells of the rows that begin with code."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


# --- settings, topics, metrics


def test_every_setting_is_in_the_table_with_its_default():
    rows = table(section(REFERENCE, "Settings"))
    shown = {name.strip("`"): default.strip("`") for name, default, meaning in rows if meaning}
    expected = {}
    for name, field in Settings.model_fields.items():
        value = field.default
        value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        expected[f"SENTINEL_{name.upper()}"] = str(value) or "(none)"
    assert shown == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_that_is_named_exists(page):
    known = {f"SENTINEL_{name.upper()}" for name in Settings.model_fields}
    known |= set(re.findall(r"SENTINEL_\w+", (ROOT / "docker-compose.yml").read_text()))
    known.add("SENTINEL_FOLDER")  # of a skeleton
    assert set(re.findall(r"SENTINEL_[A-Z_]*[A-Z]", page.read_text())) <= known


def nodes(picture: list[str]) -> dict[tuple[int, int], str]:
    """Return which name is at which (row, column)."""
    drawn = "".join(GLYPHS) + "".join(HEADS)
    found = {}
    for row, line in enumerate(picture):
        for match in re.finditer(rf"[^\s{drawn}]+(?: [^\s{drawn}]+)*", line):
            for column in range(match.start() - 1, match.end() + 1):
                found[row, column] = match[0]
    return found


def arrows(picture: list[str]) -> set[tuple[str, str]]:
    """Follow every line of a picture from the name where it begins to the head where it ends."""
    names = nodes(picture)
    cells = {(row, column): c for row, line in enumerate(picture) for column, c in enumerate(line)}
    found = set()
    for (row, column), name in names.items():
        for way, (down, right) in STEP.items():
            start = (row + down, column + right)
            if BACK[way] in GLYPHS.get(cells.get(start, " "), ""):
                found |= {(name, end) for end in _follow(start, way, cells, names)}
    return found


def _follow(
    place: tuple[int, int], way: str, cells: dict[tuple[int, int], str], names: dict[Any, str]
) -> Iterator[str]:
    """Yield the names at the heads that are reached from `place`, entered in direction `way`."""
    mark = cells.get(place, " ")
    if HEADS.get(mark) == way:
        down, right = STEP[way]
        end = names.get((place[0] + down, place[1] + right))
        assert end, f"an arrow at {place} points at nothing"
        yield end
    for out in GLYPHS.get(mark, "").replace(BACK[way], ""):
        down, right = STEP[out]
        yield from _follow((place[0] + down, place[1] + right), out, cells, names)


def test_the_picture_is_the_table_of_topics():
    picture = next(text for text in blocks(README, "text") if "──▶" in text)
    shown = arrows(picture.splitlines())
    expected = {("your logs", "connectors"), ("PostgreSQL", "API")}
    expected |= {("persist", "PostgreSQL"), ("dead_letter", "PostgreSQL")}
    expected.add(("deliver", "subscribers"))
    for topic in topics.TOPICS:
        name = f"[{topic.name.replace('*', '<source>')}]"
        expected.add((topic.writer, name))
        expected |= {(name, reader) for reader in topic.readers}
    assert shown == expected


METRICS = [m for m in vars(metrics).values() if isinstance(m, MetricWrapperBase)]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.describe()[0].name)
def test_every_metric_has_help(metric):
    assert [family.documentation[-1] for family in metric.describe()] == ["."]


# --- commands, the API, fields


def test_every_command_and_every_path_of_the_api_is_in_the_reference(tmp_path):
    commands = section(REFERENCE, "Commands")
    for name in app.build().commands:
        assert f"`sentinel {name}" in commands, f"REFERENCE.md does not say what `{name}` is"
    for path, methods in create(Settings(home=tmp_path)).openapi()["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in REFERENCE


def console_lines() -> Iterator[Any]:
    """Yield every command of every console block as a test parameter."""
    for page in PAGES:
        for block in blocks(page.read_text(), "console"):
            lines = [line for line in block.splitlines() if line.startswith("$ ")]
            assert lines, f"{page.name}: a console block without a command: {block[:60]}"
            yield from (pytest.param(line[2:], id=f"{page.name}: {line[2:50]}") for line in lines)


@pytest.mark.parametrize("line", list(console_lines()))
def test_commands_in_console_blocks_exist(line):
    for part in line.split(" | "):
        words = shlex.split(part, comments=True)
        if re.match(r"\w+=", words[0]):
            continue
        if words[0] == "make":
            assert_make(words[1:])
        elif words[0] == "sentinel":
            assert_sentinel(words[1:])
        else:
            assert words[0] in TOOLS


def assert_make(words: list[str]) -> None:
    """Check that targets exist, and that variables are used."""
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        name, is_variable, _ = word.partition("=")
        pattern = rf"\$\(.*\b{name}\b" if is_variable else rf"^{name}:"
        assert re.search(pattern, makefile, re.M), f"the Makefile has no {name}"


def assert_sentinel(words: list[str]) -> None:
    """Check that a command and its options exist."""
    if words == ["--help"]:
        return
    command: Any = app.build().commands[words[0]].load()
    rest = words[1:]
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    used = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
    assert used <= known, f"sentinel {words[0]} has no {used - known}"
    needed = [param.opts for param in command.params if param.required and param.opts[0][0] == "-"]
    assert all(used & set(names) for names in needed), f"sentinel {words[0]} needs {needed}"


def fields(command: str) -> list[str]:
    """Return the fields of a command's JSON as the reference lists them."""
    listed = table(section(REFERENCE, "What scripts can rely on"))
    rows = {row[0].strip("`"): row[1] for row in listed}
    return re.findall(r"`(\w+)`", rows[f"{command} --json"])


def test_fields_of_json_are_those_of_the_reference():
    """That commands print what the API sends is shown by ``tests/api``."""
    assert fields("alerts") == fields("alert ID") == list(Alert.model_fields)
    assert fields("events") == list(Event.model_fields)
    assert fields("status") == list(status.COLUMNS)
    assert fields("topics") == list(TopicState._fields)
    assert fields("dead-letters list") == list(Letter._fields)
    assert fields("bench") == list(bench.COLUMNS)


def test_fields_of_commands_that_need_no_platform(capfdbinary, tmp_path, monkeypatch):
    monkeypatch.setenv("SENTINEL_HOME", str(tmp_path))
    log = tmp_path / "log.jsonl"
    cases = yaml.safe_load(blocks(CONTRIBUTING, "yaml")[1])
    log.write_text(json.dumps(cases[0]["event"]) + "\n")
    (tmp_path / "rule.yml").write_text(blocks(CONTRIBUTING, "yaml")[0])

    assert app.run(["rules", "list", "--json", str(tmp_path)]) == 0
    (listed,) = map(json.loads, capfdbinary.readouterr().out.splitlines())
    matching = ["match", str(log), "--source", "cloudtrail", "--rules", str(tmp_path), "--json"]
    assert app.run(matching) == 0
    (matched,) = map(json.loads, capfdbinary.readouterr().out.splitlines())

    assert fields("rules list") == list(listed)
    assert fields("match") == list(matched)


@pytest.mark.e2e
def test_fields_of_the_ledger(stack, postgres):
    command = [sys.executable, "-m", "sentinel.cli"]
    env = stack.env() | {"PATH": "/usr/bin:/bin"}
    subprocess.run([*command, "topics", "create"], env=env, check=True, timeout=120)
    done = subprocess.run(
        [*command, "ledger", "--json"], env=env, capture_output=True, check=False, timeout=120
    )
    assert fields("ledger") == list(json.loads(done.stdout))


# --- links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
            known = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in known, f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    """What looks like a path of ours is one, but for places to be filled in and skeletons."""
    own = set(re.findall(r"^# ([\w/]+\.\w+)$", CONTRIBUTING, re.M))
    own |= {"tests/connectors/test_keycloak.py", "tests/streams/sinks/test_folder.py"}
    named = re.findall(r"`((?:\w+/)+[\w.]*)`", page.read_text())
    of_ours = {name for name in named if (ROOT / name.split("/")[0]).exists()} - own
    assert [name for name in sorted(of_ours) if not (ROOT / name).exists()] == []
