import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.reading import Reader, records, summary

EVENTS = [{"a": 1}, {"b": {"c": ["x", None]}}, {"d": "é\n"}]


def read(data: bytes) -> list[bytes]:
    return list(records(io.BytesIO(data)))


def forms() -> dict[str, bytes]:
    lines = [json.dumps(event) for event in EVENTS]
    return {
        "lines": "\n".join(lines).encode(),
        "lines with blanks": ("\n\n" + "\n \n".join(lines) + "\n").encode(),
        "array": json.dumps(EVENTS).encode(),
        "pretty array": json.dumps(EVENTS, indent=2).encode(),
        "envelope": json.dumps({"Records": EVENTS}).encode(),
        "pretty envelope": json.dumps({"Records": EVENTS}, indent=1).encode(),
        "envelopes on lines": b"\n".join(
            json.dumps({"Records": part}).encode() for part in (EVENTS[:1], EVENTS[1:])
        ),
        "pretty objects": "\n".join(json.dumps(event, indent=1) for event in EVENTS).encode(),
    }


@pytest.mark.parametrize("form", sorted(forms()))
def test_every_form_gives_the_same_events(form):
    assert [json.loads(data) for data in read(forms()[form])] == EVENTS


def test_bytes_stand_as_in_the_file():
    assert read(b'[{"a" :  1.50},\t{"b":2}]') == [b'{"a" :  1.50}', b'{"b":2}']


def test_lines_of_text():
    assert read(b"type=SYSCALL msg=1\ntype=CWD msg=1\r\n") == [
        b"type=SYSCALL msg=1",
        b"type=CWD msg=1",
    ]


@pytest.mark.parametrize(
    "broken",
    [b'{"a": 1', b'[{"a": 1}, {"b"', b'{"Records": [{"a"', b"\x00\xff\n", b'{"Records": 7}'],
)
def test_what_is_no_json_is_handed_on_as_it_stands(broken):
    assert b"".join(read(broken)).strip() == broken.strip()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(data):
    assert all(isinstance(record, bytes) for record in read(data))


def test_lines_are_read_one_at_a_time():
    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            line = b'{"a":1}\n' * (len(buffer) // 8)
            buffer[: len(line)] = line
            return len(line)

    stream = iter(Reader(["-"], io.BufferedReader(Endless())))
    assert [next(stream).data for _ in range(3)] == [b'{"a":1}'] * 3


def test_a_delivery_tree(tmp_path):
    day = tmp_path / "AWSLogs/1/CloudTrail/eu-west-1/2026/01/02"
    digest = tmp_path / "AWSLogs/1/CloudTrail-Digest/eu-west-1"
    for folder in (day, digest):
        folder.mkdir(parents=True)
        packed = gzip.compress(json.dumps({"Records": EVENTS}).encode())
        (folder / "1_CloudTrail.json.gz").write_bytes(packed)
    (day / "README.md").write_text("no log")
    (day / "misnamed.json").write_bytes(gzip.compress(b'{"a": 1}'))

    reader = Reader([tmp_path])
    found = list(reader)

    assert [json.loads(record.data) for record in found] == [*EVENTS, {"a": 1}]
    assert found[1].place == f"{day / '1_CloudTrail.json.gz'}:1"
    assert len(reader.skipped) == 2
    assert "README.md" in summary(reader)[0]


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path):
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes(gzip.compress(b'{"a": 1}\n' * 10_000)[:-20])
    (tmp_path / "whole.json").write_text('{"b": 2}')

    reader = Reader([tmp_path / "missing.json", cut, tmp_path / "whole.json"])
    found = list(reader)

    assert found[-1].data == b'{"b": 2}'
    assert [name for name, _ in reader.unreadable] == [str(tmp_path / "missing.json"), str(cut)]
    assert len(summary(reader)) == 2
