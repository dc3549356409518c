"""Neural recordings: stream them, watch what they give, make and score such with known spikes."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.live import Live
from rich.progress import Progress

from bci import formats
from bci.engine import Engine
from bci.formats import FormatError
from bci.formats.lsl import Inlet
from bci.formats.nsx_write import NsxWriter
from bci.probe import Probe
from bci.score import Score, score
from bci.settings import EngineSettings
from bci.synth import Synth, SynthSettings
from bci.truth import Truth
from sentinel import local, topics
from sentinel.cli import _common
from sentinel.cli._bci import info, live, loop, replay, screen, watching
from sentinel.cli._common import JsonOption
from sentinel.cli._lists import options
from sentinel.errors import SettingsError

app = typer.Typer(help=__doc__, no_args_is_help=True)

#: Samples that the engine is given at a time.
BLOCK = 3000
#: Edges of the bands of signal-to-noise ratio that recall is told for.
BANDS = (0.0, 3.0, 5.0, 8.0, 12.0, np.inf)


VarOption = Annotated[
    str, typer.Option(help="Which of several: variable, stream, series, or file of a folder.")
]
RateOption = Annotated[
    float, typer.Option(min=0, help="Rate in Hz, where the file does not say (.mat, .raw).")
]


class Detected(NamedTuple):
    """Detections of a whole recording: sample, channel; and σ of the noise, µV."""

    sample: NDArray[np.int64]
    channel: NDArray[np.int32]
    sigma: float


@app.command("info")
def info_command(
    recording: Annotated[Path, typer.Argument(exists=True, help="A file, or a folder of one.")],
    var: VarOption = "",
    fs: RateOption = 0.0,
    json: JsonOption = False,
) -> None:
    """Show what RECORDING holds: rate, channels, gaps, spikes and marks of the device.

    Read are .ns1 to .ns6, .nev, .ncs, .wav, .mat, .xdf, .nwb, .raw, and folders: BIDS,
    GigaScience, Neuralynx sessions.
    """
    found = info.row(recording, formats.open(recording, var, fs))
    if json:
        _common.print_json(found)
    else:
        _common.print_table(recording.name, ("what", "found"), info.lines(found))


@app.command("replay")
def replay_command(
    recording: Annotated[Path, typer.Argument(exists=True, help="Such as rec.ns5.")],
    speed: Annotated[str, typer.Option(help="Times its own pace, or max.")] = "1.0",
    loop: Annotated[bool, typer.Option("--loop", help="Again and again, until Ctrl-C.")] = False,
    channels: Annotated[str, typer.Option(help="Only these, from 0, such as 0-63,70.")] = "",
    session: Annotated[str, typer.Option(help="Name of the session; default: file and time.")] = "",
    block_ms: Annotated[float, typer.Option(min=0.5, max=100, help="Length of a block.")] = 10.0,
    var: VarOption = "",
    fs: RateOption = 0.0,
    tenant: options.Tenant = "default",
    json: JsonOption = False,
) -> None:
    """Stream RECORDING into raw.neural at its own pace, for the neural stage.

    50 Hz to 200 kHz. Below 1,333 Hz (EEG, LFP) there is no room for spikes: band power, health,
    artefacts, gaps and seizure-like rhythms are told.
    """
    rate = replay.pace(speed)
    found = info.sampled(recording, formats.open(recording, var, fs))
    for note in filter(None, (*found.notes, info.slow(found.fs))):
        _common.note(f"{recording.name}: {note}")
    chosen = replay.select(found, channels)
    settings = local.connect(_common.settings())
    now = time.time_ns()
    name = session or f"{recording.stem}-{now // 1_000_000_000}"
    groups = replay.blocks(found, chosen, name, block_ms, loop=loop, now_us=now // 1000)
    with Progress(console=_common.progress_console, transient=True) as progress:
        total = None if loop else found.seconds
        task = progress.add_task(f"{recording.name} into {topics.NEURAL}", total=total)
        sent = replay.run(
            settings,
            groups,
            rate,
            tenant,
            lambda so_far: progress.update(task, completed=so_far.seconds),
        )
    row = {
        "session": name,
        "channels": len(chosen),
        "seconds": round(sent.seconds, 3),
        "took_s": round((time.time_ns() - now) / 1e9, 3),
        "blocks": sent.blocks,
        "bytes": sent.size,
        "behind_s": round(sent.behind_s, 3),
    }
    if json:
        _common.print_json(row)
    else:
        _common.note(
            f"{row['seconds']} s of {row['channels']} channels sent as session {name} in "
            f"{row['took_s']} s, {row['behind_s']} s behind at most"
        )


@app.command("live")
def live_command(
    name: Annotated[str, typer.Argument(help="Name or type of a stream of Lab Streaming Layer.")],
    seconds: Annotated[float, typer.Option(min=0, help="Stop after so long; 0: never.")] = 0.0,
    uv: Annotated[float, typer.Option(min=1e-6, help="µV a step, for streams of float.")] = 0.25,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to look for the stream.")] = 10.0,
    session: Annotated[str, typer.Option(help="Name of the session; default: stream, time.")] = "",
    tenant: options.Tenant = "default",
    json: JsonOption = False,
) -> None:
    """Stream NAME, live, into raw.neural; what is older than 2 s is dropped, as a gap."""
    settings = local.connect(_common.settings())
    now = time.time_ns()
    title = session or f"{name}-{now // 1_000_000_000}"
    with (
        Inlet(name, uv, wait) as inlet,
        Progress(console=_common.progress_console, transient=True) as progress,
    ):
        if note := info.slow(inlet.fs):
            _common.note(f"{name}: {note}")
        task = progress.add_task(f"{name} into {topics.NEURAL}", total=seconds or None)
        groups = live.blocks(inlet, title, seconds, now // 1000, _common.note)
        sent = replay.run(
            settings,
            groups,
            0.0,
            tenant,
            lambda so_far: progress.update(task, completed=so_far.seconds),
        )
    row = {"session": title, "channels": len(inlet.labels), "seconds": round(sent.seconds, 3)}
    if json:
        _common.print_json(row)
    else:
        _common.note(f"{row['seconds']} s of {row['channels']} channels sent as session {title}")


@app.command("loop")
def loop_command(
    rules: Annotated[Path, typer.Argument(exists=True, help="JSON: rules, and calls before.")],
    seconds: Annotated[float, typer.Option(min=0, help="Stop after so long; 0: never.")] = 0.0,
    tenant: options.Tenant = "default",
    json: JsonOption = False,
) -> None:
    """Answer spikes and neural events with stimuli, as RULES say, until Ctrl-C.

    {"setup": [{"call": "setDevice", "arguments": {"index": 0}}, {"call": "connect"}, …],
    "rules": [{"name": "a", "electrode": 7, "config": 1, "channels": [3], "spikes": 5,
    "window_ms": 10, "hold_ms": 100}]}
    """
    asked = loop.load(rules)
    settings = local.connect(_common.settings())
    until = time.monotonic() + seconds if seconds else float("inf")
    running = loop.run(
        settings, asked, tenant, lambda: time.time_ns() // 1000, f"loop-{time.time_ns()}"
    )
    with suppress(KeyboardInterrupt), closing(running):
        for _ in running:
            if time.monotonic() >= until:
                break
    late = np.array(asked.late_ms or [0.0])
    row = {
        "commands": asked.commands,
        "late_p50_ms": round(float(np.percentile(late, 50)), 3),
        "late_p99_ms": round(float(np.percentile(late, 99)), 3),
    }
    if json:
        _common.print_json(row)
    else:
        _common.note(
            f"{row['commands']} commands, {row['late_p50_ms']} ms after the samples "
            f"(99 % within {row['late_p99_ms']} ms)"
        )


@app.command("monitor")
def monitor_command(
    seconds: Annotated[float, typer.Option(min=0, help="Stop after so long; 0: never.")] = 0.0,
    json: JsonOption = False,
) -> None:
    """Show what recordings give, live: rates per channel, lag, latency, artefacts, bad channels.

    With --json one line for every second in which something came.
    """
    settings = local.connect(_common.settings())
    until = time.monotonic() + seconds if seconds else float("inf")
    shown = 0.0
    with Live(console=_common.console, auto_refresh=False, screen=not json) as live:
        for view, fresh in watching.listen(settings, time.time):
            now = time.monotonic()
            if json and fresh and now - shown >= 1:
                _common.print_json(view.row())
                shown = now
            elif not json:
                live.update(screen.picture(view), refresh=True)
            if now >= until:
                break


@app.command("synth")
def synth_command(
    out: Annotated[Path, typer.Option(help="File to make, .ns5 or .ns6.")],
    channels: Annotated[int, typer.Option(min=1, max=4096, help="How many.")] = 32,
    seconds: Annotated[float, typer.Option(min=0.1, max=36_000, help="How long.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same file.")] = 0,
    pitch: Annotated[float, typer.Option(min=1, help="µm between electrodes.")] = 400.0,
    hash_uv: Annotated[float, typer.Option(min=0, help="Largest background spike, µV.")] = 0.0,
    json: JsonOption = False,
) -> None:
    """Make a recording with known spikes; the truth goes to OUT with .truth.npz at its end."""
    if out.suffix not in {".ns5", ".ns6"}:
        raise SettingsError(f"--out: expected a name that ends in .ns5 or .ns6, found {out.name}")
    settings = SynthSettings(channels, seconds, seed=seed, pitch_um=pitch, hash_uv=hash_uv)
    synth, truth = Synth(settings), out.with_suffix(".truth.npz")
    labels = [f"elec{number}" for number in range(1, channels + 1)]
    with Progress(console=_common.progress_console, transient=True) as progress:
        task = progress.add_task(f"making {out.name}", total=seconds)
        with NsxWriter(out, settings.fs, settings.uv_per_bit, labels) as writer:
            for block in synth.blocks():
                writer.write(block)
                progress.advance(task, len(block) / settings.fs)
    synth.truth.save(truth)
    row = {"recording": str(out), "truth": str(truth), "spikes": len(synth.truth.sample)}
    if json:
        _common.print_json(row)
    else:
        _common.note(f"{row['spikes']} spikes on {channels} channels: {out}, {truth}")


@app.command("score")
def score_command(
    recording: Annotated[Path, typer.Argument(exists=True, help="Recording, such as rec.ns5.")],
    truth: Annotated[Path, typer.Argument(exists=True, help="Its truth, as synth writes it.")],
    skip: Annotated[float, typer.Option(min=0, help="Seconds not scored: learning.")] = 20.0,
    json: JsonOption = False,
) -> None:
    """Detect the spikes of RECORDING and compare with TRUTH.

    A spike is found by a detection within 0.4 ms and 75 µm, each at most once.
    """
    known = Truth.load(truth)
    found = _detect(recording, known)
    rows = _rows(known, found, min(skip, 0.5 * known.sample.max(initial=0) / known.fs))
    if json:
        _common.print_json(*rows)
        return
    names = ("snr", "spikes", "recall", "precision", "f1")
    cells = ([f"{v:.3f}" if isinstance(v, float) else v for v in map(r.get, names)] for r in rows)
    _common.print_table(f"Spikes of {recording.name}", names, cells)


def _detect(path: Path, known: Truth) -> Detected:
    """Run the engine over a recording."""
    recording = info.sampled(path, formats.open(path))
    if note := info.slow(recording.fs):
        raise FormatError(f"{path.name}: expected spikes to score, but {note}")
    if len(recording.labels) != len(known.electrodes):
        raise FormatError(
            f"expected {len(known.electrodes)} channels as in the truth, "
            f"found {len(recording.labels)} in {path.name}"
        )
    engine = Engine(recording.fs, recording.uv_per_bit, Probe(known.electrodes), EngineSettings())
    spikes = []
    with Progress(console=_common.progress_console, transient=True) as progress:
        task = progress.add_task(f"looking for spikes in {path.name}", total=recording.seconds)
        for start, block in recording.blocks(BLOCK):
            spikes.append(engine.process(block, start).spikes)
            progress.advance(task, len(block) / recording.fs)
    spikes.append(engine.finish().spikes)
    return Detected(
        np.concatenate([part.sample for part in spikes]),
        np.concatenate([part.channel for part in spikes]),
        float(np.median(engine.sigma)),
    )


def _rows(known: Truth, found: Detected, skip: float) -> list[dict[str, Any]]:
    """Return recall by band of signal-to-noise ratio, and the whole."""
    counted = known.sample >= skip * known.fs
    heard = found.sample >= skip * known.fs
    unit = known.unit[counted]
    result: Score = score(
        known.sample[counted],
        known.positions[unit],
        found.sample[heard],
        known.electrodes[found.channel[heard]],
        known.fs,
    )
    band = np.digitize(known.amplitudes[unit] / found.sigma, BANDS) - 1
    rows: list[dict[str, Any]] = []
    for number in np.unique(band).tolist():
        here = result.matched[band == number]
        name = f"{BANDS[number]:g} to {BANDS[number + 1]:g}"
        rows.append({"snr": name, "spikes": len(here), "recall": float((here >= 0).mean())})
    whole = {"recall": result.recall, "precision": result.precision, "f1": result.f1}
    return [*rows, {"snr": "all", "spikes": len(unit), **whole}]
