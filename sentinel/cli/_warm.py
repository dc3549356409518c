"""Do once, with progress, what would otherwise make the first start slow.

``python -m sentinel.cli._warm`` fetches Kafka into the Maven cache and imports the scanner
of JSON and every model and runs the neural engine, which compiles them into numba's cache
beside the modules. `make setup` runs it.
"""

from __future__ import annotations

import pkgutil
import time
from importlib import import_module

import numpy as np

import detectors.models
from bci.engine import Engine
from bci.probe import Probe
from sentinel.cli import _common
from sentinel.local import artifacts


def main() -> None:
    """Fetch, compile, and say what took how long."""
    artifacts.fetch("kafka", _common.note, verify=True)
    compile_all()


def compile_all() -> None:
    """Compile into numba's cache, and say what took how long."""
    models = [info.name for info in pkgutil.iter_modules(detectors.models.__path__)]
    names = [
        "schemas.columns.lexicon",
        "schemas.columns.sha",
        *(f"{detectors.models.__name__}.{name}" for name in models),
    ]
    began = time.monotonic()
    with _common.progress_console.status("compiling the models"):
        for name in names:
            import_module(name)
        Engine(30_000.0, 1.0, Probe.line(1)).process(np.zeros((100, 1), np.int16), 0)
    _common.note(f"models compiled in {time.monotonic() - began:.1f} s: {', '.join(models)}")


if __name__ == "__main__":
    main()
