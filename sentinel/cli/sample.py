"""Write the sample hour, a simulated company with attacks inside, and its labels."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import orjson
import typer

from sentinel.cli import _common
from sentinel.sample.hour import Event, simulate

SUFFIX = {"cloudtrail": "cloudtrail.jsonl", "auditd": "auditd.log"}


def command(
    out: Annotated[Path, typer.Option(help="Directory to write to; made if missing.")] = Path(
        "sample"
    ),
    seed: Annotated[int, typer.Option(help="The same seed and start give the same bytes.")] = 7,
    start: Annotated[
        float, typer.Option(help="Seconds since the epoch; 0: so that it ends now.")
    ] = 1_767_600_000,
    minutes: Annotated[float, typer.Option(min=1, help="How long it lasts.")] = 60,
) -> None:
    """Write ``cloudtrail.jsonl``, ``auditd.log`` and ``labels.jsonl`` to a directory.

    A label is ``{"source", "uid", "time", "attack", "story", "step", "technique"}``;
    ``uid`` is the source's own id of the event.
    """
    begin = start or time.time() - 60 * minutes
    events = list(simulate(seed, begin, minutes))
    out.mkdir(parents=True, exist_ok=True)
    for source, name in SUFFIX.items():
        lines = [event.raw for event in events if event.source == source]
        (out / name).write_bytes(b"\n".join(lines) + b"\n")
    (out / "labels.jsonl").write_bytes(
        b"".join(orjson.dumps(label(event)) + b"\n" for event in events)
    )
    attacks = sum(event.label.attack for event in events)
    _common.note(f"{len(events)} events, {attacks} of them attacks, written to {out}")


def label(event: Event) -> dict[str, object]:
    """Return the ground truth of an event as it is written to ``labels.jsonl``."""
    return {
        "source": event.source,
        "uid": event.uid,
        "time": int(event.time * 1000),
        **event.label._asdict(),
    }
