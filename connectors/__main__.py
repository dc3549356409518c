"""``python -m connectors``: list the connectors.

``python -m connectors golden`` rewrites the golden files (see `_golden`); ``python -m connectors
auditd-rules`` prints rules for auditd, to be put into ``/etc/audit/rules.d``.
"""

from __future__ import annotations

import sys
from importlib import resources

import connectors
from connectors import _golden
from connectors.base import Connector
from sentinel.registry import discover


def main(arguments: list[str]) -> int:
    """Run the command; return the exit status."""
    found = discover(connectors, Connector)  # type: ignore[type-abstract]
    if arguments == ["golden"]:
        if not _golden.PLACE.is_dir():
            sys.stderr.write(f"expected {_golden.PLACE} here; run this in the repository's root\n")
            return 1
        lines = [str(path) for path in _golden.rewrite(_golden.PLACE, found)]
        sys.stdout.write("\n".join([*lines, f"{len(lines)} expected files changed"]) + "\n")
        return 0
    if arguments == ["auditd-rules"]:
        rules = resources.files("connectors._auditd.watch").joinpath("audit.rules")
        sys.stdout.write(rules.read_text(encoding="utf-8"))
        return 0
    if arguments:
        sys.stderr.write("expected: python -m connectors [golden | auditd-rules]\n")
        return 2
    summary = [f"{name}: {(cls.__doc__ or '').splitlines()[0]}" for name, cls in found.items()]
    sys.stdout.write("\n".join(summary) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
