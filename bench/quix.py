"""(c) The same pure functions in Quix Streams, event by event, as its documentation has it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench._with.context import Context, write_result
from bench._with.events import ROOT
from bench._with.per_event import AllStages, Metered
from bench.measure import Meter, Row
from sentinel.settings import load

REQUIREMENTS = Path(__file__).with_name("requirements-quix.txt")
VENV = ROOT / ".venv-bench"
EVENTS, WARM = 6000, 2000


def run(context: Context) -> Iterator[Row]:
    """Measure in a process with the packages that Quix Streams needs; without our work too."""
    python = _python(context)
    raws = context.sample.raws[: EVENTS + WARM]
    source, target = context.topic(raws), context.topic()
    for name in ("quix", "quix_nothing_done"):
        yield context.result("bench.quix", name, source, target, len(raws) - WARM, python=python)


def _python(context: Context) -> str:
    """Return an interpreter that has Quix Streams and its confluent-kafka, and all of ours."""
    python, done = VENV / "bin" / "python", VENV / ".ready"
    digest = sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not done.exists() or done.read_text() != digest:
        context.report(f"installing Quix Streams into {VENV.name}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        install = ["-m", "pip", "--quiet", "--no-input", "install", "--require-hashes", "-r"]
        subprocess.run([python, *install, REQUIREMENTS], check=True)
        # Behind its own packages ours, so that the pure functions run there too.
        site = next(VENV.glob("lib/python*/site-packages"))
        (site / "sentinel.pth").write_text(sysconfig.get_path("purelib") + "\n")
        done.write_text(digest)
    return str(python)


def main(file: str, name: str, source: str, target: str, events: str) -> None:
    """Be that process."""
    from quixstreams import Application  # type: ignore[import-not-found]  # its own venv

    function = AllStages() if name == "quix" else bytes
    meter = Meter()
    metered = Metered(function, meter, WARM, int(events))
    app = Application(
        broker_address=load().kafka,
        consumer_group=f"{name}-{source}",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="WARNING",
    )
    read: Any = app.topic(source, value_deserializer="bytes")
    written: Any = app.topic(target, value_serializer="bytes")
    app.dataframe(read).apply(metered).to_topic(written)
    app.run(count=WARM + int(events), collect=False)
    write_result(file, meter.row(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
