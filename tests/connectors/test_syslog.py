"""Syslog: framing, both formats, what is missing, and what well-known programs say."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import syslog as module
from connectors._syslog.frame import messages
from connectors._syslog.message import parse
from connectors.syslog import Syslog
from schemas.ocsf import validate
from sentinel.errors import DecodeError, MappingError

CONNECTOR = Syslog()
HEAD = "<86>1 2026-03-02T09:00:00.123456+01:00 web-1 {app} 42 - - {text}"


def mapped(app: str, text: str) -> dict[str, Any]:
    """Return the OCSF event of what a program said, checked against the schema."""
    found = CONNECTOR.to_ocsf(HEAD.format(app=app, text=text).encode())
    assert validate(found) == []
    return found


# --- framing

BODIES = st.lists(
    st.binary(min_size=1, max_size=60).map(lambda body: b"<1>1 - - - - - - " + body), min_size=1
)


@given(BODIES)
def test_octet_counted_messages_come_back_as_they_were(bodies):
    value = b"".join(b"%d %s" % (len(body), body) for body in bodies)
    assert messages(value) == [body.rstrip(b"\n\0") for body in bodies]


def test_lines_and_what_goes_on_below_them():
    value = b"<1>a one\r\n\tand two\n\n<1>b three\0\n"
    assert messages(value) == [b"<1>a one\n\tand two", b"<1>b three"]


def test_a_line_that_begins_with_a_number_is_a_line():
    assert messages(b"12 monkeys\nand more\n") == [b"12 monkeys", b"and more"]
    assert messages(b"5 <34>x\n5 <34>y") == [b"<34>x", b"<34>y"]


# --- formats


def test_rfc_5424_with_structured_data_and_a_byte_order_mark():
    raw = '<165>1 2026-03-02T09:00:00.003Z h app 1 ID47 [a@1 x="\\"1\\]" y="2"][b z="3"] \ufefftext'
    found = parse(raw.encode())
    assert (found.facility, found.severity, found.message_id) == (20, 5, "ID47")
    assert found.data == {"a@1": {"x": '"1]', "y": "2"}, "b": {"z": "3"}}
    assert found.text == "text"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<34>Oct 11 2025 22:14:15 h su: x", ("h", "su", "", "x")),
        ("2026-03-02T09:00:00+01:00 h kernel: x", ("h", "kernel", "", "x")),
        ("Oct 11 2025 22:14:15 h Google Chrome[7]: x", ("h", "Google Chrome", "7", "x")),
        ("Oct 11 2025 22:14:15 h a.launchd[1] (b[2]): x", ("h", "a.launchd", "1", "x")),
        ("Oct 11 2025 22:14:15  sshd[8]: x", ("", "sshd", "8", "x")),
        ("Oct 11 2025 22:14:15 h no program here", ("h", "", "", "no program here")),
        (
            "Oct 11 2025 22:14:15 --- last message repeated",
            ("", "", "", "--- last message repeated"),
        ),
    ],
)
def test_rfc_3164_as_it_is_written(line, expected):
    found = parse(line.encode())
    assert (found.host, found.app, found.pid, found.text) == expected


@pytest.mark.parametrize(
    ("now", "line", "expected"),
    [
        ("2026-01-03", "Dec 31 23:59:59", "2025-12-31T23:59:59"),
        ("2026-01-03", "Jan  2 00:00:00", "2026-01-02T00:00:00"),
        ("2025-12-31T12:00:00", "Jan  1 00:00:01", "2026-01-01T00:00:01"),
        ("2026-06-01", "Jun  3 00:00:00", "2025-06-03T00:00:00"),
    ],
)
def test_the_year_that_is_missing_is_the_closest_not_ahead(now, line, expected, monkeypatch):
    monkeypatch.setattr(time, "time", datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp)
    found = parse(f"{line} h app: x".encode()).time
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC).timestamp() * 1000


def test_what_is_no_syslog_is_refused_with_what_was_expected():
    with pytest.raises(DecodeError, match="expected a syslog message"):
        parse(b"hello")
    with pytest.raises(DecodeError, match="priority"):
        parse(b"<999>1 2026-03-02T09:00:00Z h a - - - x")
    with pytest.raises(MappingError, match="time"):
        parse(b"Oct 41 22:14:15 h su: x")


def test_text_that_is_no_utf_8_is_read_all_the_same():
    assert parse(b"2026-03-02T09:00:00Z h app: caf\xe9").text == "café"


# --- meaning


@pytest.mark.parametrize(
    ("app", "text", "expected"),
    [
        (
            "sshd",
            "Failed password for invalid user a b from 203.0.113.6 port 22 ssh2",
            ("Authentication: Logon", "Failure", "a b", "203.0.113.6"),
        ),
        (
            "sshd-session",
            "Accepted password for ada from 2001:db8::7 port 4 ssh2",
            ("Authentication: Logon", "Success", "ada", "2001:db8::7"),
        ),
        (
            "su",
            "FAILED SU (to root) bob on pts/1",
            ("Authentication: Account Switch", "Failure", "root", None),
        ),
        (
            "login",
            "pam_unix(login:auth): check pass; user unknown",
            ("Authentication: Logon", "Failure", "unknown", None),
        ),
        (
            "xrdp-sesman",
            "pam_unix(xrdp-sesman:session): session opened for user ada(uid=1000) by (uid=0)",
            ("Authentication: Logon", "Success", "ada", None),
        ),
        (
            "usermod",
            "lock user 'eve' password",
            ("Account Change: Lock", "Success", "eve", None),
        ),
        (
            "usermod",
            "delete 'eve' from group 'sudo'",
            ("Group Management: Remove User", "Success", "eve", None),
        ),
        ("postfix/smtpd", "connect from unknown", ("Base Event: Other", "Unknown", None, None)),
    ],
)
def test_what_programs_say(app, text, expected):
    found = mapped(app, text)
    user, source = found.get("user", {}), found.get("src_endpoint", {})
    assert (found["type_name"], found["status"], user.get("name"), source.get("ip")) == expected


def test_sudo_is_a_process_of_the_other_user_and_its_refusal_a_failure():
    line = "ada : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/cat /etc/x ; y"
    found = mapped("sudo", line)
    assert found["process"]["cmd_line"] == "/bin/cat /etc/x ; y"
    assert found["process"]["user"] == {"name": "root"}
    assert found["actor"]["user"]["name"] == "ada"
    assert (found["status"], found["status_detail"]) == ("Failure", "user NOT in sudoers")


def test_a_user_name_that_pretends_to_be_an_address_is_no_source():
    """The user's name is the attacker's choice; the address is what sshd itself appends."""
    text = "Failed password for invalid user x from 192.0.2.1 port 1 ssh2 from 203.0.113.6 port 22"
    found = mapped("sshd", text)
    assert found["src_endpoint"] == {"ip": "203.0.113.6", "port": 22}
    assert found["status"] == "Failure"


def test_fields_and_keywords_of_rules():
    decoder = module.SyslogDecoder()
    line = decoder.decode(HEAD.format(app="sshd", text="Invalid user x from 192.0.2.1").encode())
    names = ("program", "message", "user", "ip", "nothing", "structured_data.a.b")
    assert [decoder.getter(name)(line) for name in names] == [
        "sshd",
        "Invalid user x from 192.0.2.1",
        "x",
        "192.0.2.1",
        None,
        None,
    ]
    assert "Invalid user" in decoder.text(line)
