"""Records find their schema: by fingerprint, by registry id, or not at all."""

import io
import json

import fastavro
import pytest

from schemas import avro
from sentinel.errors import SchemaError

ALERT = {
    "id": "5c6c1e4e-3d24-5c5e-9a0b-5f4d5b8f3a11",
    "tenant": "acme",
    "source": "cloudtrail",
    "kind": "rule",
    "rule_id": "r",
    "title": "T",
    "techniques": ["T1078"],
    "severity_id": 4,
    "score": 0.5,
    "entity": "arn:aws:iam::1:user/é",
    "explanation": "{}",
    "status": "suppressed",
    "reopened": False,
    "suppression": "2c7e1b5a-3d0f-4b1e-8a55-0c1d2e3f4a5b",
    "first_seen": 1_700_000_000_000,
    "last_seen": 1_700_000_000_000,
    "count": 1,
    "events": [
        {"uid": b"u" * 16, "time": 1, "arrived": 2, "score": 0.5, "raw": b"{}", "source": ""}
    ],
}


class MemoryRegistry:
    """A schema registry in a list; ids count from 1."""

    def __init__(self):
        self.schemas = []

    def id_of(self, name, schema):
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    def schema_of(self, schema_id):
        if not 0 < schema_id <= len(self.schemas):
            raise LookupError(schema_id)
        return self.schemas[schema_id - 1]


@pytest.fixture
def registry():
    memory = MemoryRegistry()
    avro.configure(memory)
    yield memory
    avro.configure(None)


def older_alert():
    """Return an alert of a version without ``score`` in the events, and with another field."""
    schema = json.loads(avro.text("alert"))
    events = schema["fields"][-1]["type"]["items"]["fields"]
    events.append({"name": "colour", "type": "string", "default": ""})
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), ALERT)
    return json.dumps(schema), out.getvalue()


def test_single_objects_carry_the_avro_fingerprint():
    data = avro.encode("alert", ALERT)
    parsed = fastavro.parse_schema(json.loads(avro.text("alert")))
    canonical = fastavro.schema.to_parsing_canonical_form(parsed)
    expected = fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
    assert data[:2] == b"\xc3\x01"
    assert data[2:10].hex() == expected
    assert avro.decode("alert", data) == ALERT


@pytest.mark.parametrize("name", avro.names())
@pytest.mark.parametrize(
    "data", [b"", b"\xc3", b"\xc3\x01", b"\xc3\x01" + b"x" * 20, b"{}", b"\0" * 9]
)
def test_anything_else_is_a_schema_error(name, data):
    with pytest.raises(SchemaError, match=name):
        avro.decode(name, data)


@pytest.mark.parametrize("cut", [11, 40, -1])
def test_cut_off_and_trailing_bytes_are_refused(cut):
    data = avro.encode("alert", ALERT)
    for broken in (data[:cut], data + b"\0"):
        with pytest.raises(SchemaError):
            avro.decode("alert", broken)


def test_another_schema_is_not_mistaken_for_this_one():
    with pytest.raises(SchemaError, match="event_batch"):
        avro.decode("event_batch", avro.encode("alert", ALERT))


def test_a_released_version_is_read_by_its_fingerprint(tmp_path, monkeypatch):
    schema, body = older_alert()
    (tmp_path / "released").mkdir()
    (tmp_path / "released" / "alert.1.avsc").write_text(schema)
    monkeypatch.setattr(avro, "HERE", tmp_path)
    head = avro._fingerprint(fastavro.parse_schema(json.loads(schema)))
    assert avro.decode("alert", head + body) == ALERT


def test_confluent_wire_format_with_a_registry(registry):
    data = avro.encode("alert", ALERT)
    assert data[:5] == b"\0\0\0\0\x01"
    assert avro.decode("alert", data) == ALERT


def test_another_version_is_read_by_its_registry_id(registry):
    avro.encode("alert", ALERT)
    schema, body = older_alert()
    schema_id = registry.id_of("alert", schema)
    assert avro.decode("alert", b"\0" + schema_id.to_bytes(4, "big") + body) == ALERT


def test_wrong_schema_id_is_named(registry):
    data = avro.encode("alert", ALERT)
    with pytest.raises(SchemaError, match=r"\b77\b"):
        avro.decode("alert", b"\0" + (77).to_bytes(4, "big") + data[5:])


def test_the_id_of_an_unrelated_schema_is_a_schema_error(registry):
    registry.id_of("x", '"string"')
    with pytest.raises(SchemaError):
        avro.decode("alert", b"\0\0\0\0\x01" + avro.encode("alert", ALERT)[5:])


def test_records_of_the_two_formats_are_told_apart(registry):
    with_registry = avro.encode("alert", ALERT)
    avro.configure(None)
    with pytest.raises(SchemaError, match="registry"):
        avro.decode("alert", with_registry)
