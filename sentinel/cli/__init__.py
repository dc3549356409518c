"""The command line: one module here is one command of ``sentinel``.

To add a command, add a file; no list is edited. ``sentinel/cli/dead_letters.py`` is
``sentinel dead-letters`` and defines one of

``command``
    a function: the command itself, its parameters annotated for typer;
``app``
    a `typer.Typer`: a group with sub-commands (``sentinel dead-letters list``).

The first line of the module's docstring is its line in ``sentinel --help``, read without
importing the module. A module is imported only when its command is called, so that help
and completion stay quick and a command that cannot be imported breaks itself alone; it
may therefore import what it needs at its top. Names that start with ``_`` are not
commands: `sentinel.cli._common` has the options, tables and helpers that commands share.

A command fails by raising `sentinel.errors.SentinelError`: `main` prints its message as
one line on stderr and exits with status 1. Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit: 0 on success, 1 on an error, 2 on wrong usage."""
    from sentinel.cli.app import run

    sys.exit(run(sys.argv[1:]))
