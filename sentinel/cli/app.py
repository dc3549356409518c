"""Build ``sentinel`` from the modules beside this one, each imported when it is called."""

from __future__ import annotations

import ast
import gc
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

import sentinel.cli
from sentinel import __version__
from sentinel.errors import SentinelError

NOT_COMMANDS = {"app"}
PROGRAM = "sentinel"


class LazyCommand(TyperCommand):
    """Stand-in for the command of module ``sentinel.cli.<module>`` until it is called.

    Parameters
    ----------
    module
        Module name, such as ``dead_letters``.
    help
        The line shown in the list of commands.
    """

    def __init__(self, module: str, help: str) -> None:
        super().__init__(name=module.replace("_", "-"), callback=None, params=[], help=help)
        self.module = module

    def load(self) -> TyperCommand | TyperGroup:
        """Import the module and return its real command.

        Raises
        ------
        SentinelError
            The module cannot be imported, or defines neither `app` nor `command`.
        """
        path = f"{sentinel.cli.__name__}.{self.module}"
        gc.disable()  # what modules make stays: the collector need not look at it, now or later
        try:
            module = import_module(path)
        except (ImportError, SyntaxError) as error:
            raise SentinelError(f"{self.name}: cannot be loaded: {error}") from error
        finally:
            gc.freeze()
            gc.enable()
        if isinstance(group := getattr(module, "app", None), typer.Typer):
            return typer.main.get_group(group)
        if (function := getattr(module, "command", None)) is None:
            raise SentinelError(f"{path}: expected `command` or `app`, found neither")
        single = typer.Typer(add_completion=False)
        single.command(self.name)(function)
        return cast(TyperCommand, typer.main.get_command(single))

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Hand over to the real command: from here on click knows only that one."""
        return self.load().make_context(info_name, args, parent=parent, **extra)


def summary(path: Path) -> str:
    """Return the first line of a module's docstring without importing it."""
    try:
        text = ast.get_docstring(ast.parse(path.read_bytes()))
    except SyntaxError as error:
        return f"(cannot be loaded: {error.msg}, line {error.lineno})"
    return (text or "").partition("\n")[0]


def build(folder: Path | None = None) -> TyperGroup:
    """Return the group of all commands found in `folder` (default: this package)."""
    folder = folder or Path(__file__).parent
    root = typer.Typer(name=PROGRAM, no_args_is_help=True, help=SUMMARY, epilog=EPILOG)
    root.callback()(_options)
    group = cast(TyperGroup, typer.main.get_command(root))
    for info in pkgutil.iter_modules([str(folder)]):
        if not info.ispkg and not info.name.startswith("_") and info.name not in NOT_COMMANDS:
            group.add_command(LazyCommand(info.name, summary(folder / f"{info.name}.py")))
    return group


def run(args: Sequence[str], group: TyperGroup | None = None) -> int:
    """Run one command and return its exit status; an error is one line on stderr.

    With ``SENTINEL_LOG_LEVEL=DEBUG`` an error keeps its traceback.
    """
    try:
        (group or build()).main(args=list(args), prog_name=PROGRAM)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except SentinelError as error:
        if os.environ.get("SENTINEL_LOG_LEVEL") == "DEBUG":  # settings may be what failed
            raise
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return 1
    except OSError as error:  # a file that a person named: nothing else lets one through
        if error.filename is None or os.environ.get("SENTINEL_LOG_LEVEL") == "DEBUG":
            raise
        wanted = f"expected to read or write {error.filename}"
        sys.stderr.write(f"{PROGRAM}: {wanted}, found: {error.strerror}; check path and rights\n")
        return 1
    return 0


SUMMARY = "Streaming security detection on Kafka: audit logs in, explained alerts out."
EPILOG = "Settings come from SENTINEL_* environment variables; REFERENCE.md lists them."


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Take the options of ``sentinel`` itself."""
