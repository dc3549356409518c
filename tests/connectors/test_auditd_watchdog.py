"""auditd: lost records are said, users get names, rules are shipped, and the ways in have both."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from connectors.__main__ import main
from connectors._auditd.tables import syscall_name
from connectors._auditd.watch.readers import AuditTail, AuditUnix
from connectors._auditd.watch.users import Users
from connectors._auditd.watch.watchdog import Watchdog
from connectors._reading.base import DeniedError, SourceError
from connectors._reading.ways import ways
from connectors.auditd import Auditd
from connectors.syslog import Syslog
from schemas.ocsf import EVENT_LOG_ACTIVITY, validate
from sentinel.testing.draining import Drain

CONNECTOR = Auditd()


def line(serial: int, second: int = 0, node: str = "web-1", body: str = "uid=0 auid=1000") -> bytes:
    """Return a record."""
    stamp = f"{1_760_000_000 + second}.000:{serial}"
    return f"node={node} type=SYSCALL msg=audit({stamp}): syscall=59 {body}".encode()


def said(lines: list[bytes], watchdog: Watchdog | None = None) -> list[bytes]:
    """Return what the watchdog says of lines."""
    dog = watchdog or Watchdog()
    return [found for each in lines if (found := dog.see(each))]


def test_numbers_that_never_come_are_said_once():
    found = said([line(1), line(2), line(12, 1), line(13, 4), line(14, 9)])
    assert len(found) == 1
    assert b"lost=9 first=3 total=9" in found[0]


def test_records_out_of_order_and_other_hosts_are_no_loss():
    assert said([line(1), line(3), line(2), line(900, node="db-1"), line(4, 5), line(5, 9)]) == []


def test_a_restart_goes_on_where_it_was():
    dog = Watchdog()
    said([line(1), line(5)], dog)
    found = said([line(6, 4)], Watchdog(dog.state()))
    assert b"lost=3" in found[0]


def test_what_is_said_is_an_event_of_high_severity_with_an_id_of_its_own():
    (found,) = said([line(1), line(5), line(6, 4)])
    assembler = CONNECTOR.assembler()
    units = assembler.feed(list(CONNECTOR.split(found)), 0)
    assert units == [found], "it stands alone and waits for nothing"
    event = CONNECTOR.to_ocsf(found)
    assert validate(event) == []
    assert (event["class_uid"], event["severity"], event["status"]) == (
        EVENT_LOG_ACTIVITY,
        "High",
        "Failure",
    )
    assert event["metadata"]["uid"] not in {"web-1:1760000004.000:6", "web-1:1760000004.000:2"}


def test_what_the_kernel_says_of_lost_records_is_read_from_its_log():
    text = "kernel: [ 12.5] audit: audit_lost=7 audit_rate_limit=0 audit_backlog_limit=64"
    event = Syslog().to_ocsf(f"2026-03-02T09:00:00Z web-1 {text}".encode())
    assert validate(event) == []
    assert (event["class_uid"], event["severity"]) == (EVENT_LOG_ACTIVITY, "High")
    assert event["unmapped"] == {"lost": "7"}


# --- users


@pytest.fixture
def passwd(tmp_path):
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/:/bin/sh\ntoor:x:0:0::/:/\n")
    return path


def test_names_are_put_behind_a_record_as_auditd_does(passwd):
    users = Users(passwd)
    users.refresh()
    raw = line(1, body="auid=1000 uid=0 ouid=77 euid=4294967295 msg='id=1 uid=1000'")
    assert users.enriched(raw) == raw + b'\x1dAUID="ada" UID="root" EUID="unset"'
    assert users.enriched(raw + b'\x1dUID="x"') == raw + b'\x1dUID="x"'
    event = CONNECTOR.to_ocsf(users.enriched(line(1, body="uid=0 auid=1000 pid=7 success=yes")))
    assert "ada" in str(event["actor"])


def test_the_users_are_read_again_when_they_change(passwd):
    users = Users(passwd)
    users.refresh()
    passwd.write_text("eve:x:1000:1000::/:/bin/sh\n")
    users.refresh()
    assert users.enriched(line(1, body="auid=1000")).endswith(b'AUID="eve"')


# --- ways in


def reader(log: Path, **settings: Any) -> AuditTail:
    """Return a reader of a log."""
    return AuditTail(AuditTail.Settings(paths=[str(log)], poll_s=0.01, **settings), CONNECTOR)


def test_the_log_is_read_with_names_and_losses_over_a_restart(tmp_path, passwd):
    log = tmp_path / "audit.log"
    log.write_bytes(b"\n".join([line(1), line(2), line(9)]) + b"\n")
    drain = Drain(lambda: reader(log, passwd=passwd), OSError)
    drain.run()
    with log.open("ab") as more:
        more.write(line(10, 5) + b"\n")
    drain.run()
    values = [record.value for record in drain.records]
    assert len(values) == 5
    assert b"lost=6" in values[4]
    assert all(b'AUID="ada"' in value for value in values[:4])
    assert len(set(drain.ids)) == 5


def test_the_socket_of_the_plug_in_is_read_with_names_and_losses(tmp_path, passwd):
    path = tmp_path / "audispd_events"
    lines = [line(1), line(2), line(9), line(10, 5)]
    with socket.socket(socket.AF_UNIX) as plugin:
        plugin.bind(str(path))
        plugin.listen()

        def write() -> None:
            with plugin.accept()[0] as connection:
                connection.sendall(b"".join(each + b"\n" for each in lines))

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        settings = AuditUnix.Settings(path=path, passwd=passwd)
        found: list[bytes] = []
        with closing(AuditUnix(settings, CONNECTOR)) as unix, pytest.raises(SourceError):
            found.extend(record.value for page in unix.read(None) for record in page.records)
        writer.join(120)
    assert len(found) == 5
    assert found[0].endswith(b'UID="root" AUID="ada"')
    assert b"lost=6" in found[4]


def test_users_that_cannot_be_read_are_said(tmp_path):
    log = tmp_path / "audit.log"
    log.write_bytes(line(1) + b"\n")
    with closing(reader(log, passwd=tmp_path / "no")) as tail:
        with pytest.raises(DeniedError, match="users of the host"):
            list(tail.read(None))
        assert [check.ok for check in tail.check()][-1] is False


def test_they_take_the_place_of_the_common_ways():
    found = ways(Auditd)
    assert found["tail"].endswith("AuditTail")
    assert found["unix"].endswith("AuditUnix")
    assert "files" in found


# --- rules


RULES = resources.files("connectors._auditd.watch").joinpath("audit.rules").read_text()


def test_the_rules_watch_what_is_promised_and_every_one_has_a_key():
    rules = [row for row in RULES.splitlines() if row.startswith(("-a", "-w"))]
    assert [row for row in rules if not re.search(r"-F key=\w+$|-k \w+$", row)] == []
    watched = " ".join(rules)
    for call in ("execve", "ptrace", "openat", "chmod", "chown", "connect", "finit_module"):
        assert re.search(rf"\b{call}\b", watched), call
    assert "/etc/shadow" in watched
    assert "clock_settime" in watched


def test_the_rules_name_calls_that_there_are():
    from system_calls import syscalls

    known = set(syscalls().names())
    named = {n for found in re.findall(r"-S (\S+)", RULES) for n in found.split(",")}
    assert named <= known
    assert syscall_name("c000003e", "59") == "execve"


def test_the_rules_are_printed_by_a_command(capsys):
    assert main(["auditd-rules"]) == 0
    assert capsys.readouterr().out == RULES
