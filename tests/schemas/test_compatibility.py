"""Breaking schema changes are refused, the others are not, and fastavro agrees."""

import io
import json

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import avro, compatibility
from sentinel.errors import IncompatibleSchemaError

OLD = {
    "type": "record",
    "name": "Batch",
    "namespace": "n",
    "fields": [
        {"name": "id", "type": {"type": "fixed", "name": "Uid", "size": 16}},
        {"name": "other", "type": "Uid"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {
            "name": "rows",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Row",
                    "fields": [
                        {"name": "time", "type": "long"},
                        {"name": "tags", "type": {"type": "map", "values": "string"}},
                    ],
                },
            },
        },
    ],
}


def changed(change):
    """Return a copy of OLD after `change(fields by name, fields of Row by name)`."""
    new = json.loads(json.dumps(OLD))
    fields = {field["name"]: field for field in new["fields"]}
    row = fields["rows"]["type"]["items"]
    change(new, fields, row)
    return new


BREAKING = {
    "new field without default": (
        lambda new, _, row: row["fields"].append({"name": "x", "type": "int"}),
        "Batch.rows[].x: is not written, and has no default",
    ),
    "field without default gone": (
        lambda new, _, row: row["fields"].pop(0),
        "Batch.rows[].time: is not written, and has no default",
    ),
    "field renamed": (
        lambda new, fields, row: fields["other"].update(name="else"),
        "Batch.else: is not written",
    ),
    "type changed": (
        lambda new, _, row: row["fields"][0].update(type="string"),
        "Batch.rows[].time: long is read as string",
    ),
    "type promoted, which old readers cannot follow": (
        lambda new, _, row: row["fields"][0].update(type="double"),
        "an old reader breaks: Batch.rows[].time: double is read as long",
    ),
    "map values changed": (
        lambda new, _, row: row["fields"][1]["type"].update(values="int"),
        "Batch.rows[].tags[]: string is read as int",
    ),
    "fixed size changed": (
        lambda new, fields, row: fields["id"]["type"].update(size=8),
        "Batch.id: 16 bytes are read as 8",
    ),
    "symbol added": (
        lambda new, fields, row: fields["kind"]["type"].update(symbols=["A", "B", "C"]),
        "an old reader breaks: Batch.kind: symbols C are not known",
    ),
    "symbol gone": (
        lambda new, fields, row: fields["kind"]["type"].update(symbols=["A"]),
        "a new reader breaks: Batch.kind: symbols B are not known",
    ),
    "null no longer allowed": (
        lambda new, fields, row: fields["note"].update(type="string", default=""),
        "Batch.note: null is read as string",
    ),
    "branch added": (
        lambda new, fields, row: fields["note"].update(type=["null", "string", "int"]),
        "an old reader breaks: Batch.note: int is not in the union",
    ),
    "record renamed": (
        lambda new, _, row: row.update(name="Line"),
        "Batch.rows[]: Row is read as Line",
    ),
    "array becomes map": (
        lambda new, fields, row: fields["rows"].update(type={"type": "map", "values": row}),
        "Batch.rows: array is read as map",
    ),
}

HARMLESS = {
    "nothing": lambda new, fields, row: None,
    "new field with default": lambda new, fields, row: row["fields"].append(
        {"name": "x", "type": "int", "default": 0}
    ),
    "field with default gone": lambda new, fields, row: new["fields"].remove(fields["note"]),
    "doc and order": lambda new, fields, row: (new.update(doc="x"), row["fields"].reverse()),
    "string as bytes": lambda new, _, row: row["fields"][1]["type"].update(values="bytes"),
}


@pytest.mark.parametrize(("change", "message"), BREAKING.values(), ids=BREAKING)
def test_breaking_change_is_refused_with_place_and_reason(change, message):
    with pytest.raises(IncompatibleSchemaError) as caught:
        compatibility.check("batch", OLD, changed(change))
    assert message in str(caught.value)


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_harmless_change_passes_and_fastavro_reads_both_ways(change):
    new = changed(change)
    compatibility.check("batch", OLD, new)
    value = {"id": b"i" * 16, "other": b"o" * 16, "kind": "B", "note": "n"}
    value["rows"] = [{"time": 5, "tags": {}, "x": 1}]
    for writer, reader in ((OLD, new), (new, OLD)):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(writer), value)
        out.seek(0)
        read = fastavro.schemaless_reader(
            out, fastavro.parse_schema(writer), fastavro.parse_schema(reader)
        )
        assert read["rows"][0]["time"] == 5


PRIMITIVES = {
    "null": None,
    "boolean": True,
    "int": 1,
    "long": 2**40,
    "float": 1.5,
    "double": 1.5,
    "bytes": b"x",
    "string": "x",
}
TYPES = st.sampled_from(list(PRIMITIVES)) | st.lists(
    st.sampled_from(list(PRIMITIVES)), min_size=1, max_size=3, unique=True
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TYPES, TYPES)
def test_verdict_on_primitives_and_unions_is_that_of_fastavro(writer, reader):
    """Fastavro refuses a value of some branch exactly where a problem is named."""
    refused = False
    for branch in [writer] if isinstance(writer, str) else writer:
        out = io.BytesIO()
        value = PRIMITIVES[branch]
        fastavro.schemaless_writer(out, writer, value if writer == branch else (branch, value))
        out.seek(0)
        try:
            fastavro.schemaless_reader(out, writer, reader)
        except fastavro.read.SchemaResolutionError:
            refused = True
    assert bool(compatibility.problems(writer, reader)) == refused


def test_recursive_schemas_are_compared_to_the_end():
    tree = {
        "type": "record",
        "name": "Tree",
        "fields": [
            {"name": "leaf", "type": "int"},
            {"name": "below", "type": {"type": "array", "items": "Tree"}},
        ],
    }
    assert compatibility.problems(tree, tree) == []
    other = json.loads(json.dumps(tree).replace('"int"', '"string"'))
    assert [p.path for p in compatibility.problems(tree, other)] == ["Tree.leaf"]


def test_the_schemas_here_fit_what_was_released():
    assert compatibility.check_all() >= len(avro.names())
    assert compatibility.main([]) == 0
