"""Do once, with progress, what would otherwise make the first start slow.

``python -m sentinel.cli._warm`` fetches Kafka into the Maven cache and imports every
model, which compiles it into numba's cache beside the module. `make setup` runs it.
"""

from __future__ import annotations

import pkgutil
import time
from importlib import import_module

import detectors.models
from sentinel.cli import _common
from sentinel.local import artifacts


def main() -> None:
    """Fetch, compile, and say what took how long."""
    artifacts.fetch("kafka", _common.note, verify=True)
    names = [info.name for info in pkgutil.iter_modules(detectors.models.__path__)]
    began = time.monotonic()
    with _common.progress_console.status("compiling the models"):
        for name in names:
            import_module(f"{detectors.models.__name__}.{name}")
    _common.note(f"models compiled in {time.monotonic() - began:.1f} s: {', '.join(names)}")


if __name__ == "__main__":
    main()
