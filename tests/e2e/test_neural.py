"""A recording is replayed: what is unusual in it is alerted on, and a webhook hears of it."""

from __future__ import annotations

import json
import os
import time
import wave
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from scipy.io import savemat
from standardwebhooks import Webhook

from bci.formats.nsx_write import NsxWriter
from schemas import avro
from sentinel import local, settings, topics
from sentinel.cli import app
from sentinel.kafka import client_config
from sentinel.testing.server import ScriptedServer, reply

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FS, CHANNELS, SECONDS = 15_000, 16, 13
#: From here on every channel fires in volleys, three a second, as in a seizure; and one is dead.
SEIZURE_S, DEAD_S, DEAD = 8.0, 9.0, 15
SCHEMA = Draft202012Validator(json.loads((avro.HERE / "neural_event.schema.json").read_text()))
LIMIT_S = 300.0


def until(condition: Callable[[], Any]) -> Any:
    """Ask until `condition` holds; fail after `LIMIT_S`."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {LIMIT_S} s"
        time.sleep(0.2)
    return found


def recording() -> NDArray[np.int16]:
    """Return int16[time, channel], 0.25 µV a bit: calm, then a seizure and a dead electrode."""
    draw = np.random.default_rng(3)
    samples = draw.normal(0, 32, (SECONDS * FS, CHANNELS))
    ms = np.arange(-15, 30) * 1000 / FS
    spike = 200 * np.exp(-0.5 * ((ms - 0.5) / 0.3) ** 2) - 600 * np.exp(-0.5 * (ms / 0.12) ** 2)
    volleys = SEIZURE_S + np.arange(0, SECONDS - SEIZURE_S - 0.4, 1 / 3)
    for channel in range(CHANNELS):
        calm = draw.uniform(0.1, SEIZURE_S, 40)
        storm = (volleys[:, None] + draw.uniform(0, 0.12, (len(volleys), 12))).ravel()
        for start in (np.concatenate([calm, storm]) * FS).astype(int):
            samples[start : start + len(spike), channel] += spike
    samples[round(DEAD_S * FS) :, DEAD] = 0
    return samples.round().astype(np.int16)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording as a file that the lab's system could have written."""
    path = tmp_path_factory.mktemp("lab") / "patient.ns5"
    labels = [f"elec{number}" for number in range(1, CHANNELS + 1)]
    with NsxWriter(path, float(FS), 0.25, labels) as writer:
        writer.write(recording())
    return path


def test_a_seizure_and_a_dead_electrode_are_alerts_and_come_by_webhook(platform, tenant, file):
    hook = f"neural-{tenant}"
    with ScriptedServer() as receiver:
        receiver.route("POST", "/lab", lambda _: reply({}))
        (made,) = platform.json(
            "webhooks", "create", hook, f"{receiver.url}/lab", "--tenant", tenant,
            "--kind", "neural.*", "--option", "batch_size=100", "--option", "batch_wait_s=2",
        )  # fmt: skip
        (sent,) = platform.json(
            "bci", "replay", str(file), "--speed", "max", "--session", tenant, "--tenant", tenant
        )
        assert (sent["channels"], sent["seconds"]) == (CHANNELS, SECONDS)

        def alerts():
            rows = platform.json("alerts", "--tenant", tenant, "--source", "bci_event")
            found = {row["title"].split()[0]: row for row in rows if row["rule_id"]}
            return found if found.keys() >= {"Seizure-Like", "Channels"} else None

        found = until(alerts)
        verify, told = Webhook(made["secret"]).verify, []

        def heard():
            messages = [verify(each.body, dict(each.headers)) for each in receiver.requests]
            items = [one for each in messages for one in each["data"].get("items", [each])]
            told[:] = [each["data"]["event"] for each in items]
            return {"synchrony", "channel_health"} <= {each["kind"] for each in told}

        until(heard)
        requests = len(receiver.requests)
        platform.run("webhooks", "delete", hook)
    for event in told:
        SCHEMA.validate(event)
    assert requests < len(told), "in batches"
    seizure, electrode = found["Seizure-Like"], found["Channels"]
    assert (seizure["severity"], electrode["severity"]) == ("high", "medium")
    assert seizure["entity"] == electrode["entity"] == f"{tenant}/0"
    assert "bursts of most channels within" in seizure["explanation"]["what"]
    assert "message is 'elec16 flat'" in electrode["explanation"]["what"]
    assert "a seizure" in platform.run("alert", seizure["id"]).decode()
    until(lambda: platform.balance() == 0)


# --- every kind of file

#: Rates of recordings with spikes and without, Hz; and their length, s.
FAST, SLOW, LONG_S = 15_000, 250, 5
#: µV of a bit of those that say so.
UV: float = 0.25


def two() -> NDArray[np.int16]:
    """Return int16[time, 2]: spikes, 20 a second, and an electrode that comes off at once."""
    draw = np.random.default_rng(8)
    samples = draw.normal(0, 30, (LONG_S * FAST, 2))
    ms = np.arange(-16, 32) * 1000 / FAST
    spike = 60 * np.exp(-0.5 * ((ms - 0.5) / 0.3) ** 2) - 300 * np.exp(-0.5 * (ms / 0.12) ** 2)
    for start in range(0, len(samples) - FAST // 20, FAST // 20):
        samples[start : start + len(spike), 0] += spike
    samples[:, 1] = 5
    return samples.round().astype(np.int16)


def wav(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(FAST)
        file.writeframes(two().tobytes())


def mat(path: Path) -> None:
    savemat(path, {"data": two() * UV, "sr": float(FAST)})


def ncs(path: Path) -> None:
    """Write the second channel: a file of Neuralynx has one."""
    header = (
        f"######## Neuralynx Data File Header\r\n-AcqEntName CSC7\r\n"
        f"-SamplingFrequency {FAST}\r\n-ADBitVolts {UV * 1e-6:.12f}\r\n"
    )
    rows = two()[: 512 * (LONG_S * FAST // 512), 1].reshape(-1, 512)
    records = np.zeros(len(rows), "<u8,<u4,<u4,<u4,(512,)<i2")
    records["f0"] = np.arange(len(rows)) * 512 * 1_000_000 // FAST
    records["f2"], records["f3"], records["f4"] = FAST, 512, rows
    path.write_bytes(header.encode().ljust(16_384, b"\0") + records.tobytes())


def nwb(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        series = file.create_group("acquisition/raw")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        data = series.create_dataset("data", data=two())
        data.attrs["conversion"], data.attrs["unit"] = UV * 1e-6, "volts"
        series.create_dataset("starting_time", data=2.0).attrs["rate"] = float(FAST)
        series["electrodes"] = [0, 1]
        table = file.create_group("general/extracellular_ephys/electrodes")
        table["id"], table["channel_name"] = np.arange(2), [b"A1", b"A2"]


def raw(path: Path) -> None:
    two().tofile(path)
    said = {"sample_rate": FAST, "shape": [-1, 2], "uv_per_bit": UV, "labels": ["A1", "A2"]}
    path.with_suffix(".json").write_text(json.dumps(said))


def nsx(path: Path) -> None:
    with NsxWriter(path, float(FAST), UV, ["A1", "A2"]) as writer:
        writer.write(two())


def xdf(path: Path) -> None:
    """Write an EEG of two channels, in mV, as LabRecorder does."""
    described = "".join(
        f"<channel><label>{name}</label><unit>millivolts</unit></channel>" for name in ("Cz", "Pz")
    )
    info = (
        "<?xml version='1.0'?><info><name>cap</name><type>EEG</type><channel_count>2"
        f"</channel_count><nominal_srate>{SLOW}</nominal_srate><channel_format>float32"
        f"</channel_format><desc><channels>{described}</channels></desc></info>"
    )
    time_s = np.arange(LONG_S * SLOW) / SLOW
    mv = np.stack([0.1 * np.sin(2 * np.pi * 10 * time_s), np.zeros(len(time_s))], axis=1)
    values = b"\x04" + len(mv).to_bytes(4, "little")
    for at, row in zip(time_s, mv.astype("<f4"), strict=True):
        values += b"\x08" + np.float64(100 + at).tobytes() + row.tobytes()
    stream, head = (1).to_bytes(4, "little"), b"<?xml version='1.0'?><info>%s</info>"
    chunks = [
        (1, head % b"<version>1.0</version>"),
        (2, stream + info.encode()),
        (3, stream + values),
        (6, stream + head % b"<first_timestamp>100</first_timestamp>"),
    ]
    written = b"".join(
        b"\x04" + (2 + len(body)).to_bytes(4, "little") + tag.to_bytes(2, "little") + body
        for tag, body in chunks
    )
    path.write_bytes(b"XDF:" + written)


#: How a file is made; its rate, its channels, and the name of the one that is flat.
KINDS: dict[str, tuple[Callable[[Path], None], int, int, str]] = {
    "wav": (wav, FAST, 2, "chan2"),
    "mat": (mat, FAST, 2, "data2"),
    "ncs": (ncs, FAST, 1, "CSC7"),
    "nwb": (nwb, FAST, 2, "A2"),
    "raw": (raw, FAST, 2, "A2"),
    "ns6": (nsx, FAST, 2, "A2"),
    "xdf": (xdf, SLOW, 2, "Pz"),
}


def neural_events(sessions: set[str]) -> Generator[dict[str, Any]]:
    """Yield the neural events of sessions, from the beginning on, for ever."""
    found = local.connect(settings.load())
    consumer = Consumer(
        client_config(found) | {"group.id": "e2e.neural", "enable.auto.commit": False}
    )
    with closing(consumer):
        places = consumer.list_topics(topics.NEURAL_EVENTS, timeout=30).topics
        numbers = places[topics.NEURAL_EVENTS].partitions
        consumer.assign(
            [TopicPartition(topics.NEURAL_EVENTS, n, OFFSET_BEGINNING) for n in numbers]
        )
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for message in consumer.consume(500, 0.2):
                event = {} if message.error() else orjson.loads(message.value() or b"{}")
                if event.get("session") in sessions:
                    yield event


def test_a_file_of_every_kind_is_replayed_and_worked_on(
    platform, tenant, tmp_path, monkeypatch, capsys
):
    for name in [each for each in os.environ if each.startswith("SENTINEL_")]:
        monkeypatch.delenv(name)
    for name, value in platform.env.items():  # in this process: seven starts would take longer
        monkeypatch.setenv(name, value)
    for suffix, (write, _, channels, _) in KINDS.items():
        path = tmp_path / f"recording.{suffix}"
        write(path)
        session = ["--session", f"{tenant}-{suffix}", "--tenant", tenant, "--json"]
        assert app.run(["bci", "replay", str(path), "--speed", "max", *session]) == 0
        said = capsys.readouterr()
        sent = json.loads(said.out)
        assert (sent["channels"], sent["seconds"]) == (channels, pytest.approx(LONG_S, abs=0.1))
        assert ("no room for spikes" in said.err) == (suffix == "xdf")

    waiting = {f"{tenant}-{suffix}": {"flat", "activity"} for suffix in KINDS}
    begins: dict[str, int] = {}
    events = neural_events(set(waiting))
    for event in events:
        began = begins.setdefault(event["session"], event["first"])
        _, fs, channels, flat = KINDS[event["session"].rpartition("-")[2]]
        left = waiting[event["session"]]
        SCHEMA.validate(event)
        assert event["fs"] == pytest.approx(fs, rel=1e-3)
        if event["kind"] == "channel_health":
            assert event["message"] == f"{flat} flat"
            left.discard("flat")
        elif event["kind"] == "activity" and event["last"] - event["first"] > 0.9 * event["fs"]:
            assert len(event["state"]) == channels
            if fs == SLOW:
                assert "rate_hz" not in event
                assert event["band_uv2"]["alpha"] == pytest.approx([100**2 / 2, 0], rel=0.1)
            elif channels == 2 and event["first"] - began > 1.5 * fs:  # the noise is known
                assert event["rate_hz"] == pytest.approx([20, 0], abs=3)
            left.discard("activity")
        if not any(waiting.values()):
            break
    events.close()
    assert not any(waiting.values()), waiting
    until(lambda: platform.balance() == 0)
