"""What was measured is shown, also where a later benchmark fails."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import pytest

from sentinel.cli import app, bench
from sentinel.errors import StackError


def fails(given: Any) -> Any:
    raise StackError("expected a worker, found none")


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["table", "json"])
def test_a_benchmark_that_fails_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch, capfd: Any, more: list[str]
) -> None:
    for name, run in {"good": lambda given: iter([{"name": "good"}]), "bad": fails}.items():
        module = ModuleType(f"bench.{name}")
        vars(module)["run"] = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(bench, "_load", lambda: (("good", "bad"), lambda *_: nullcontext()))
    assert app.run(["bench", *more]) == 1
    told = capfd.readouterr()
    assert told.out.count("good") == 1
    assert told.err.endswith("sentinel: expected a worker, found none\n")
