"""go-libaudit's golden files as the oracle of parsing and coalescing.

Its JSON names some things otherwise; `KNOWN` lists what differs in substance, and why.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors._auditd import tables
from connectors._auditd.classes import remote_ip
from connectors._auditd.event import ENCODED, Event, decode
from connectors._auditd.record import Record, head, lines_of, parse, plain, text
from connectors._auditd.socket_address import peer
from connectors.auditd import Auditd
from sentinel.settings import load

ORACLE = load().data / "auditd" / "go-libaudit"
pytestmark = pytest.mark.skipif(
    not ORACLE.is_dir(), reason=f"go-libaudit's golden files are not under {ORACLE}"
)

LABEL = ("user", "role", "domain", "level", "category")


def label(value: str, prefix: str) -> dict[str, str]:
    """Cut a security label as go-libaudit does."""
    return {
        f"{prefix}_{part}": said for part, said in zip(LABEL, value.split(":", 4), strict=False)
    }


def interpreted(record: Record) -> dict[str, str]:
    """Return the fields of a record in go-libaudit's terms."""
    out: dict[str, str] = {}
    for name, value in record.fields.items():
        if value in {"?", '"?"', "(null)", ""} or name == "key":
            continue
        encoded = name in ENCODED or (record.type == "EXECVE" and name != "argc")
        said = (text(value) if encoded else plain(value)).replace("\0", " ")
        if name in {"success", "res"}:
            out["result"] = "success" if said in {"yes", "success", "1"} else "fail"
        elif name in {"subj", "obj"}:
            out |= label(said, name)
        elif name in {"auid", "ses", "old-auid"} and said in tables.UNSET:
            out[name] = "unset"
        elif name == "arch":
            out[name] = tables.arch_name(said)
        elif name == "syscall":
            out[name] = tables.syscall_name(record.fields["arch"], said)
        elif name == "exit" and said.startswith("-"):
            out[name] = tables.ERRNO[int(said)]
        elif name == "saddr":
            out |= address(said, "")
        else:
            out[name] = said
    return out


def address(saddr: str, prefix: str) -> dict[str, str]:
    """Return a socket address in go-libaudit's terms."""
    found = peer(saddr)
    assert found is not None
    said = {"family": found.family, "addr": found.ip, "path": found.path}
    if found.ip:
        said["port"] = str(found.port)
    if not found.ip and not found.path:  # netlink and others are left as they are
        said["saddr"] = saddr
    return {prefix + name: value for name, value in said.items() if value}


def moment(event_time: int) -> str:
    """Return a time as go-libaudit prints it."""
    when = datetime.fromtimestamp(event_time / 1000, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{event_time % 1000:03d}".rstrip("0").rstrip(".") + "Z"


#: Where we differ: (record type, field) and why.
KNOWN = {
    ("LOGIN", "new_auid"): "kernels before 3.14 wrote 'new auid': we call it auid, as later ones",
    ("LOGIN", "old_auid"): "the same: old-auid",
    ("LOGIN", "auid"): "the same",
    ("LOGIN", "old-auid"): "the same",
    ("SECCOMP", "sig"): "a number here; no rule or mapping needs the signal's name",
}
LOGS = sorted(ORACLE.glob("auparse/testdata/*.log"))


@pytest.mark.parametrize("log", LOGS, ids=[log.stem for log in LOGS])
def test_records_are_those_of_libaudit(log: Path) -> None:
    golden = json.loads(log.with_name(log.name + ".golden").read_bytes())
    golden = [want for want in golden if want]  # null: a line cut off in its head
    heads = [(line, head(line)) for line in lines_of(log.read_bytes())]
    found = [(at, parse(line, at)) for line, at in heads if at is not None]
    for (at, record), want in zip(found, golden, strict=True):
        assert moment(at.time) == want["@timestamp"]
        assert int(at.serial) == want["sequence"]
        assert record.type.lower() == want["record_type"]
        ours, theirs = interpreted(record).items(), want["data"].items()
        differs = {(record.type, name) for name, _ in ours ^ theirs}
        assert differs <= KNOWN.keys(), (record, want["data"])


def cases() -> list[Any]:
    """Return every test of every coalescing file with its golden event."""
    out = []
    for path in sorted(ORACLE.glob("aucoalesce/testdata/*.yaml")):
        raw = yaml.safe_load(path.read_text())["tests"]
        golden = {
            g["test_name"]: g["event"]
            for g in json.loads(path.with_suffix(".json.golden").read_bytes())
        }
        out += [pytest.param(raw[name], golden[name], id=f"{path.stem}: {name}") for name in golden]
    return out


@pytest.mark.parametrize(("raw", "want"), cases())
def test_events_are_those_of_libaudit(raw: str, want: dict[str, Any]) -> None:
    connector = Auditd()
    assembler = connector.assembler()
    units = assembler.feed(list(connector.split(raw.encode())), 0) + assembler.flush()
    assert len(units) == 1
    event = decode(units[0])
    assert moment(event.time) == want["@timestamp"]
    assert event.serial == want["sequence"]
    assert event.reason.lower() == want["record_type"]
    result = {True: "success", False: "fail", None: "unknown"}[event.success]
    assert result == want["result"]
    session = event.get("ses")
    assert ("unset" if session in tables.UNSET or not session else session) == want["session"]
    tags = want.get("tags", [])
    if "key=(null)ARCH" not in raw:  # the enriched part lost its separator: they take it for a key
        assert event.keys == tags
    check_user(event, want["user"])
    check_process(event, want["process"])
    check_paths(event, want)
    check_network(connector.to_ocsf(units[0]), event, want)
    check_data(event, want["data"])


def check_user(event: Event, want: dict[str, Any]) -> None:
    """Compare user ids and the security label of the process."""
    for name, number in want["ids"].items():
        found = event.get(name)
        assert ("unset" if found in tables.UNSET else found) == number, name
    if "selinux" in want:
        assert label(event.get("subj"), "subj") == {
            f"subj_{part}": said for part, said in want["selinux"].items()
        }


def check_process(event: Event, want: dict[str, Any]) -> None:
    """Compare the process."""
    found = {
        "pid": event.get("pid"),
        "ppid": event.get("ppid"),
        "exe": event.get("exe"),
        "name": event.get("comm"),
        "cwd": event.get("cwd"),
        "title": event.title,
        "args": event.arguments,
    }
    assert {name: value for name, value in found.items() if value} == want


def check_paths(event: Event, want: dict[str, Any]) -> None:
    """Compare the files named, and the one that the event is about."""
    ours = [interpreted(record) for record in event.records if record.type == "PATH"]
    assert ours == want.get("paths", [])
    if "file" in want:
        assert want["file"]["path"] in {path.name for path in event.paths}


def check_network(out: dict[str, Any], event: Event, want: dict[str, Any]) -> None:
    """Compare the other side of a connection and its direction."""
    for side, name in (("source", "src_endpoint"), ("destination", "dst_endpoint")):
        if side in want:
            assert remote_ip(event) == want[side]["ip"]
            if "port" in want[side]:
                port = int(want[side]["port"])
                assert out[name] == {"ip": want[side]["ip"], "port": port}
    if out["class_name"] == "Network Activity" and "network" in want:
        direction = {"ingress": "Inbound", "egress": "Outbound"}[want["network"]["direction"]]
        assert out["connection_info"]["direction"] == direction


def check_data(event: Event, want: dict[str, Any]) -> None:
    """Compare the other fields."""
    found: dict[str, str] = {}
    for record in event.records:
        if record.type not in {"PATH", "EXECVE"}:
            for name, value in interpreted(record).items():
                found.setdefault(name, value)
        if record.type == "EXECVE":
            found.setdefault("argc", record.fields["argc"])
    for saddr in event.raw("saddr"):
        found |= address(saddr, "socket_")
    missing = {name: value for name, value in want.items() if found.get(name) != value}
    assert not missing, found
