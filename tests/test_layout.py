"""The shape of the repository: small files, one job each, every component with its test."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import connectors
import detectors.models
import streams.deliveries.adapters
import streams.sinks
from connectors.base import Connector
from detectors.base import Model
from sentinel.cli import app
from sentinel.registry import discover
from streams.deliveries.adapters.base import Adapter
from streams.sinks.base import Sink

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("sentinel", "schemas", "connectors", "streams", "detectors", "bci", "api")
MODULE_LINES = 400
FUNCTION_LINES = 60
FOLDER_FILES = 12
#: Packages found by walking: one file a component, however many there are. What these
#: folders hold besides components counts towards `FOLDER_FILES` as everywhere.
DISCOVERED = (
    *("sentinel/cli", "connectors", "detectors/models", "streams/sinks", "api/routes", "bench"),
    "streams/deliveries/adapters",
    "streams/opinions/services",
    "bci/formats",
)
TOP = {
    *PACKAGES,
    *("infra", "bench", "tests", "docker-compose.yml", "pyproject.toml", "Makefile"),
    *("README.md", "REFERENCE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    *("requirements.txt", "requirements-dev.txt"),
}
#: Where anything may be raised and one failure must not stop the rest. Everywhere else the
#: errors expected are named.
CATCHES_ALL = {
    "streams/": "the boundary of an agent: a failed batch is cut up, or the worker restarts",
    "connectors/_mapper.py": "an event that was accepted is shown with the reason, not lost",
    "connectors/_running/work.py": "a reader that fails in any way must not stop the others",
    "detectors/match.py": "no rule may cost an event; what it raised is reported",
    "detectors/engine/witness/looks.py": "the index looks at values that the rules then judge",
}
#: A module of this name is a drawer: it has no job of its own.
DRAWERS = {"utils", "util", "helpers", "helper", "misc"}
#: Put together here, so that this file does not hold what it forbids.
OUR_PATHS = ("/" + "work/", "/" + "home/runner", "C:" + "\\Users")


def repository_files() -> list[Path]:
    """Return every file that is tracked, or would be if it were added."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


@cache
def modules(*folders: str) -> tuple[Path, ...]:
    """Return every Python file below `folders`."""
    return tuple(path for name in folders for path in sorted((ROOT / name).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_bytes())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method of a file, nested ones included."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def place(path: Path, line: int = 0) -> str:
    """Return where something is, as an editor opens it."""
    relative = path.relative_to(ROOT).as_posix()
    return f"{relative}:{line}" if line else relative


def test_modules_are_short():
    long = {
        place(path): lines
        for path in modules(*PACKAGES, "bench", "tests")
        if (lines := len(path.read_text().splitlines())) > MODULE_LINES
    }
    assert long == {}, f"split these: at most {MODULE_LINES} lines"


def test_functions_are_short():
    long = {
        f"{place(path, node.lineno)} {node.name}": lines
        for path in modules(*PACKAGES, "bench", "tests")
        for node in functions(path)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}, f"split these: at most {FUNCTION_LINES} lines"


def test_folders_are_small():
    crowded = {}
    for folder in sorted({path.parent for path in modules(*PACKAGES, "bench")}):
        files = list(folder.glob("*.py"))
        if folder.relative_to(ROOT).as_posix() in DISCOVERED:
            files = [file for file in files if file.stem in {"app", "base"} or file.stem[0] == "_"]
        if len(files) > FOLDER_FILES:
            crowded[place(folder)] = len(files)
    assert crowded == {}, f"put shared machinery into a subpackage: at most {FOLDER_FILES} files"


def test_every_function_says_what_it_returns():
    silent = [
        f"{place(path, node.lineno)} {node.name}"
        for path in modules(*PACKAGES, "bench")
        for node in functions(path)
        if node.returns is None
    ]
    assert silent == []


def catches_all(handler: ast.ExceptHandler) -> bool:
    """Say whether an ``except`` takes every error and keeps it (tidying up and raising is fine)."""
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    names = ast.walk(handler.type) if handler.type is not None else ()
    found = {node.id for node in names if isinstance(node, ast.Name)}
    return handler.type is None or bool(found & {"Exception", "BaseException"})


def test_only_boundaries_catch_every_error():
    found = [
        place(path, node.lineno)
        for path in modules(*PACKAGES)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and catches_all(node)
    ]
    assert [each for each in found if not each.startswith(tuple(CATCHES_ALL))] == []
    unused = [part for part in CATCHES_ALL if not any(each.startswith(part) for each in found)]
    assert unused == [], "no longer catches every error: take it out of the list"


def test_no_module_is_a_drawer():
    assert [place(path) for path in modules(*PACKAGES, "bench") if path.stem in DRAWERS] == []


def test_the_top_level_is_what_the_readme_says():
    names = {path.relative_to(ROOT).parts[0] for path in repository_files()}
    assert {name for name in names if not name.startswith(".")} <= TOP
    for name in PACKAGES:
        assert ast.get_docstring(tree(ROOT / name / "__init__.py")), f"{name}: what is it for?"


def test_tests_are_no_packages():
    """Two test files may then have the same name (pytest's importlib mode)."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_path_of_a_machine():
    found = []
    for path in repository_files():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{place(path)}: {name}" for name in (*OUR_PATHS, str(ROOT)) if name in text]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_by_hash_and_name_no_address(name):
    text = (ROOT / name).read_text()
    assert re.findall(r"\S*://\S*|^\s*(?:-i|-f|--\w*index\w*|--find-links)\b.*", text, re.M) == []
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert [entry.split()[0] for entry in entries if "==" not in entry.split()[0]] == []


COMPONENTS = [
    *(
        (Connector, connectors, "tests/connectors"),
        (Model, detectors.models, "tests/detectors/models"),
    ),
    (Sink, streams.sinks, "tests/streams/sinks"),
    (Adapter, streams.deliveries.adapters, "tests/streams/deliveries/adapters"),
]


@pytest.mark.parametrize(("base", "package", "tests"), COMPONENTS)
def test_every_component_has_its_test(base, package, tests):
    names = discover(package, base)
    assert names
    missing = [name for name in names if not (ROOT / tests / f"test_{name}.py").is_file()]
    assert missing == [], f"expected test_<name>.py in {tests}"


def test_every_rule_has_its_cases_and_no_cases_are_left_over():
    rules, cases = ROOT / "detectors/rules", ROOT / "tests/detectors/rules"
    found = [
        {path.relative_to(folder) for path in folder.rglob("*.yml")} for folder in (rules, cases)
    ]
    assert found[0] == found[1]


def words(node: ast.AST) -> Iterator[str]:
    """Yield the texts among the arguments of a call, or in a list: how tests name a command."""
    if isinstance(node, ast.Call | ast.List):
        given = node.args if isinstance(node, ast.Call) else node.elts
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def test_every_command_is_run_by_a_test():
    """By ``test_<command>.py``, or by a test that calls it together with its like."""
    own = Path(__file__)
    called = {
        word
        for path in modules("tests")
        if path != own
        for node in ast.walk(tree(path))
        for word in words(node)
    }
    files = {path.stem.removeprefix("test_").replace("_", "-") for path in modules("tests")}
    assert sorted(set(app.build().commands) - called - files) == []
