"""Generated codecs write the bytes fastavro writes, read what it reads, and fear no bytes."""

import io
import itertools
import string
import time

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import _codegen, avro
from sentinel.errors import SchemaError

TEXT = st.text(string.ascii_letters + "é\U0001f600\0", max_size=8) | st.just("x" * 100)
SCALARS = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=8) | st.just(b"x" * 200),
    "string": TEXT,
}


def takes_bytes(schema):
    """Say whether the shortest value of a schema is longer than nothing."""
    if isinstance(schema, str):
        return schema != "null"
    if isinstance(schema, list) or schema["type"] in ("array", "map", "enum"):
        return True
    if schema["type"] == "record":
        return any(takes_bytes(field["type"]) for field in schema["fields"])
    return schema["size"] > 0 if schema["type"] == "fixed" else takes_bytes(schema["type"])


@st.composite
def schemas(draw, names, depth=0):
    """Draw an Avro schema of the kinds that code is generated for; `names` gives fresh names."""
    kinds = [*SCALARS, "enum", "fixed"]
    if depth < 3:
        kinds += ["record", "array", "map", "union"] * 3
    kind = draw(st.sampled_from(kinds))
    inner = schemas(names, depth + 1)
    if kind in SCALARS:
        return draw(st.sampled_from([kind, {"type": kind}]))
    if kind == "enum":
        return {"type": "enum", "name": next(names), "symbols": ["A", "B", "C"]}
    if kind == "fixed":
        return {"type": "fixed", "name": next(names), "size": draw(st.integers(0, 5))}
    if kind == "array":
        return {"type": "array", "items": draw(inner.filter(takes_bytes))}
    if kind == "map":
        return {"type": "map", "values": draw(inner)}
    if kind == "union":
        other = draw(inner.filter(lambda s: not isinstance(s, list) and "null" not in str(s)))
        return draw(st.sampled_from([["null", other], [other, "null"]]))
    count = draw(st.integers(0, 4))
    fields = [{"name": f"f{n}", "type": draw(inner)} for n in range(count)]
    return {"type": "record", "name": next(names), "fields": fields}


def values(schema):
    """Return a strategy for values of a schema."""
    if isinstance(schema, list):
        return st.one_of(*(values(member) for member in schema))
    if isinstance(schema, str):
        return SCALARS[schema]
    kind = schema["type"]
    if kind == "enum":
        return st.sampled_from(schema["symbols"])
    if kind == "fixed":
        return st.binary(min_size=schema["size"], max_size=schema["size"])
    if kind == "array":
        return st.lists(values(schema["items"]), max_size=3)
    if kind == "map":
        return st.dictionaries(TEXT, values(schema["values"]), max_size=3)
    if kind == "record":
        return st.fixed_dictionaries({f["name"]: values(f["type"]) for f in schema["fields"]})
    return values(kind)


@st.composite
def examples(draw):
    """Draw a parsed schema and a value of it."""
    schema = draw(schemas(map("N{}".format, itertools.count())))
    return fastavro.parse_schema(schema), draw(values(schema))


def reference(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


slow = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@slow
@given(examples())
def test_bytes_and_values_are_those_of_fastavro(example):
    schema, value = example
    codec = _codegen.generate(schema)
    encoded = codec.encode(value, b"")
    assert encoded == reference(schema, value)
    expected = fastavro.schemaless_reader(io.BytesIO(encoded), schema, None)
    assert codec.decode(encoded, 0) == expected


@slow
@given(examples(), st.data())
def test_hostile_bytes_give_a_value_or_a_schema_error(example, data):
    schema, value = example
    codec = _codegen.generate(schema)
    encoded = bytearray(codec.encode(value, b""))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(encoded)))
        encoded[at : at + 1] = data.draw(st.binary(max_size=11))
    try:
        codec.decode(bytes(encoded), 0)
    except SchemaError:
        return


@slow
@given(examples())
def test_a_record_cut_off_anywhere_is_refused(example):
    schema, value = example
    codec = _codegen.generate(schema)
    encoded = codec.encode(value, b"")
    for size in range(len(encoded)):
        with pytest.raises(SchemaError):
            codec.decode(encoded[:size], 0)
    with pytest.raises(SchemaError):
        codec.decode(encoded + b"\0", 0)


def value_of(schema):
    """Return a strategy for one of the repository's schemas, whose names refer to each other."""
    named = {}

    def expand(node):
        if isinstance(node, str):
            return named.get(node, node)
        if isinstance(node, list):
            return [expand(member) for member in node]
        if node["type"] == "record":
            fields = [{**f, "type": expand(f["type"])} for f in node["fields"]]
            node = {**node, "fields": fields}
        elif node["type"] in ("array", "map"):
            key = "items" if node["type"] == "array" else "values"
            node = {**node, key: expand(node[key])}
        if "name" in node:
            named[node["name"]] = node
        return node

    return values(expand(schema))


@pytest.mark.parametrize("name", avro.names())
def test_every_schema_is_generated_and_equals_fastavro(name):
    schema = avro.schema(name)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(value_of(schema))
    def check(value):
        encoded = avro.encode(name, value)
        assert encoded[10:] == reference(schema, value)
        assert avro.decode(name, encoded) == value
        for size in range(10, len(encoded), 7):
            with pytest.raises(SchemaError):
                avro.decode(name, encoded[:size])

    check()


LONG = _codegen.generate(fastavro.parse_schema({"type": "array", "items": "long"}))
HUGE = {
    "length": ("bytes", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    "negative length": ("string", b"\x01"),
    "count": ({"type": "array", "items": "long"}, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    "least negative count": (
        {"type": "array", "items": "long"},
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0",
    ),
    "endless number": ("long", b"\xff" * 1_000_000),
    "number above 64 bits": ("long", b"\xff" * 9 + b"\x7f"),
    "int above 32 bits": ("int", b"\xfe\xff\xff\xff\xff\x01"),
    "not UTF-8": ("string", b"\x04\xff\xfe"),
    "enum member": ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x02"),
    "union member": (["null", "long"], b"\x04\0"),
}


@pytest.mark.parametrize(("schema", "data"), HUGE.values(), ids=HUGE)
def test_absurd_declarations_are_refused_at_once(schema, data):
    codec = _codegen.generate(fastavro.parse_schema(schema))
    start = time.thread_time()  # other tests may have left threads that work
    with pytest.raises(SchemaError):
        codec.decode(data, 0)
    assert time.thread_time() - start < 1


def test_blocks_with_sizes_are_read():
    """Other writers give negative counts, followed by the bytes in the block."""
    assert LONG.decode(b"\x03\x04\x02\x04\x01\x02\x06\0", 0) == [1, 2, 3]


MISFITS = [
    ("int", 2**31),
    ("long", -(2**63) - 1),
    ("long", 1.5),
    ("string", 5),
    ("string", b"x"),
    ("string", "\ud800"),
    ("bytes", "x"),
    ("bytes", 5),
    ("double", "x"),
    ({"type": "fixed", "name": "F", "size": 2}, b"xyz"),
    ({"type": "enum", "name": "E", "symbols": ["A"]}, "B"),
    ({"type": "record", "name": "R", "fields": [{"name": "f", "type": "int"}]}, {}),
]


@pytest.mark.parametrize(("schema", "value"), MISFITS)
def test_values_that_do_not_fit_are_refused(schema, value):
    codec = _codegen.generate(fastavro.parse_schema(schema))
    with pytest.raises(SchemaError, match="fits the schema"):
        codec.encode(value, b"")


UNSUPPORTED = [
    {"type": "array", "items": "null"},
    ["int", "string"],
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]},
]


@pytest.mark.parametrize("schema", UNSUPPORTED)
def test_what_no_code_is_generated_for_says_so(schema):
    with pytest.raises(_codegen.Unsupported):
        _codegen.generate(fastavro.parse_schema(schema))


def test_bytes_in_pieces_are_written_as_one_and_read_as_views():
    schema = fastavro.parse_schema(
        {"type": "record", "name": "R", "fields": [{"name": "raw", "type": "bytes"}]}
    )
    codec = _codegen.generate(schema)
    for parts in ([], [b"ab"], [b"", b"cd", b"x" * 500]):
        whole = b"".join(parts)
        encoded = codec.encode({"raw": parts}, b"head")
        assert encoded == codec.encode({"raw": whole}, b"head")
        assert codec.decode(encoded, 4) == {"raw": whole}
        viewed = codec.decode(encoded, 4, views=True)["raw"]
        assert isinstance(viewed, memoryview)
        assert viewed == whole
