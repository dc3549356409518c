"""Commands are found by file, imported when called, and fail in one line."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import sentinel.cli
from sentinel.cli import _bringup, app

SENTINEL = [sys.executable, "-m", "sentinel.cli"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder whose modules are commands, beside our own."""
    monkeypatch.setattr(sentinel.cli, "__path__", [str(tmp_path), *sentinel.cli.__path__])

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))

    write.path = tmp_path
    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"sentinel.cli.{path.stem}", None)


def call(folder, *args):
    return app.run(args, app.build(folder.path))


def test_a_function_is_a_command_and_an_app_a_group(folder, capsys):
    folder(
        "zz_one",
        '''
        """Say a word."""
        def command(word: str = "nothing") -> None:
            """Say it."""
            print("said", word)
        ''',
    )
    folder(
        "zz_two",
        '''
        """Have parts."""
        import typer
        app = typer.Typer()
        @app.command("list")
        def show() -> None:
            """List."""
            print("listed")
        ''',
    )
    assert call(folder, "zz-one", "--word", "hello") == 0
    assert call(folder, "zz-two", "list") == 0
    assert capsys.readouterr().out == "said hello\nlisted\n"


def test_help_reads_first_lines_and_imports_nothing(folder, capsys):
    folder("zz_bad", '"""Would raise when imported."""\nraise RuntimeError("imported")\n')
    folder("zz_syntax", "def (")
    assert call(folder, "--help") == 0
    out = capsys.readouterr().out
    assert "Would raise when imported." in out
    assert "cannot be loaded" in out


def test_a_broken_command_breaks_itself_alone(folder, capsys):
    folder("zz_missing", '"""Needs what is not there."""\nimport no_such_module\n')
    folder("zz_fine", '"""Work."""\ndef command() -> None:\n    """Work."""\n')
    assert call(folder, "zz-fine") == 0
    assert call(folder, "zz-missing") == 1
    assert "zz-missing: cannot be loaded: No module named 'no_such_module'" in (
        capsys.readouterr().err
    )


def test_garbage_is_collected_again_once_a_command_is_loaded_or_not(folder, capsys):
    folder(
        "zz_looks",
        '''
        """Say whether the collector is on: while this loads, and when it is called."""
        import gc
        loading = gc.isenabled()
        def command() -> None:
            """Say it."""
            print(loading, gc.isenabled())
        ''',
    )
    folder("zz_missing", '"""Needs what is not there."""\nimport no_such_module\n')
    assert call(folder, "zz-looks") == 0
    assert capsys.readouterr().out == "False True\n"
    assert call(folder, "zz-missing") == 1
    assert gc.isenabled()


def test_errors_of_ours_are_one_line_and_status_1(folder, capsys, monkeypatch):
    folder(
        "zz_fail",
        '''
        """Fail."""
        from sentinel.errors import StackError
        def command() -> None:
            """Fail."""
            raise StackError("expected this, found that: do so")
        ''',
    )
    assert call(folder, "zz-fail") == 1
    assert capsys.readouterr().err == "sentinel: expected this, found that: do so\n"
    monkeypatch.setenv("SENTINEL_LOG_LEVEL", "DEBUG")
    with pytest.raises(sentinel.errors.StackError):
        call(folder, "zz-fail")


def test_a_path_that_cannot_be_written_is_one_line_and_status_1(capsys):
    assert app.run(["sample", "--out", "/proc/nowhere"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("sentinel: expected to read or write /proc/nowhere, found: ")
    assert error.count("\n") == 1


def test_wrong_usage_is_status_2_and_a_typing_error_gets_a_hint(capsys):
    assert app.run(["dwn"]) == 2
    assert "Did you mean 'down'" in capsys.readouterr().err


def test_a_wrong_setting_is_named(capsys, monkeypatch):
    monkeypatch.setenv("SENTINEL_API_PORT", "many")
    assert app.run(["status"]) == 1
    assert "SENTINEL_API_PORT" in capsys.readouterr().err


def test_every_command_of_ours_has_help(capsys):
    for name in app.build().commands:
        assert app.run([name, "--help"]) == 0
        assert "Usage:" in capsys.readouterr().out


def test_every_parameter_of_ours_says_what_it_is():
    def silent(name, command):
        command = command.load() if isinstance(command, app.LazyCommand) else command
        for each, below in getattr(command, "commands", {}).items():
            yield from silent(f"{name} {each}", below)
        for parameter in command.params:
            if not getattr(parameter, "help", None):
                yield f"{name} {parameter.name}"

    commands = app.build().commands.items()
    assert [lacking for name, command in commands for lacking in silent(name, command)] == []


def test_help_is_quick_and_light():
    """A person waits for it: no library of ours that computes or connects is imported."""
    probe = (
        "import sys; from sentinel.cli import app; app.run(['--help']); "
        "heavy = {'numpy', 'numba', 'faust', 'confluent_kafka', 'fastapi', 'psycopg', 'sigma'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell):
    env = os.environ | {
        "_SENTINEL_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "sentinel dow",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": "sentinel dow",
        "COMP_CWORD": "1",
    }
    program = Path(sys.executable).with_name("sentinel")
    done = subprocess.run([program], env=env, capture_output=True, text=True, check=False)
    assert "down" in done.stdout


def test_not_running_is_one_line(tmp_path):
    env = os.environ | {"SENTINEL_HOME": str(tmp_path)}
    done = subprocess.run(
        [*SENTINEL, "status"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"sentinel: not running: run `sentinel up` (home: {tmp_path.resolve()})"
    ]


def test_parts_start_where_the_current_folder_has_a_clone(tmp_path):
    (tmp_path / "sentinel").mkdir()  # what `git clone` makes, without an __init__.py
    done = subprocess.run(
        [*_bringup.SENTINEL, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sentinel ")


@pytest.mark.parametrize("group", ["connector", "dead-letters"])
def test_a_group_says_what_it_is_for(group):
    done = subprocess.run([*SENTINEL, group, "--help"], capture_output=True, text=True, check=False)
    assert {"connector": "bring logs in", "dead-letters": "could not be handled"}[group] in (
        " ".join(done.stdout.split())
    )
