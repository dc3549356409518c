"""Do once, with progress, what would otherwise make the first start slow.

``python -m sentinel.cli._warm`` fetches Kafka into the Maven cache and imports the scanner
of JSON and every model and runs the neural engine, which compiles them into numba's cache
beside the modules. `make setup` runs it.
"""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Final

import numpy as np

import detectors.models
from bci.engine import Engine
from bci.probe import Probe
from sentinel.cli import _common
from sentinel.local import artifacts

#: Seconds of compiling that are told: with a full cache nothing takes so long.
WORTH_A_LINE_S: Final = 1.0


def main() -> None:
    """Fetch, compile, and say what took how long."""
    artifacts.fetch("kafka", _common.note, verify=True)
    compile_all()


def compile_all() -> None:
    """Compile into numba's cache, and say what takes long meanwhile: minutes, the first time."""
    models = [info.name for info in pkgutil.iter_modules(detectors.models.__path__)]
    modules = ("schemas.columns.lexicon", "schemas.columns.sha")
    steps: dict[str, Callable[[], object]] = {
        **{name: partial(import_module, name) for name in modules},
        **{name: partial(import_module, f"{detectors.models.__name__}.{name}") for name in models},
        "the neural engine": _run_engine,
    }
    _common.note(f"compiling {len(steps)} parts: some minutes, the first time")
    for number, (name, step) in enumerate(steps.items(), 1):
        began = time.monotonic()
        with _common.progress_console.status(f"compiling {name} ({number} of {len(steps)})"):
            step()
        if (took := time.monotonic() - began) > WORTH_A_LINE_S:
            _common.note(f"  {number} of {len(steps)}: {name}, {took:.0f} s")


def _run_engine() -> None:
    Engine(30_000.0, 1.0, Probe.line(1)).process(np.zeros((100, 1), np.int16), 0)


if __name__ == "__main__":
    main()
