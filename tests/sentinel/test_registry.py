"""Components are found by their file; schemas by the schema registry's own REST API."""

import json
import sys
import textwrap
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from threading import Thread
from typing import ClassVar

import pytest

from schemas import avro
from sentinel.errors import KafkaError
from sentinel.kafka.registry import SchemaRegistry, schema_registry
from sentinel.registry import discover
from sentinel.settings import Settings


class Plugin(ABC):
    """What the packages below are searched for."""

    @abstractmethod
    def work(self): ...


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make a package of the given modules and return it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "plugin_base", sys.modules[__name__])

    def make(name, **modules):
        (tmp_path / name).mkdir()
        for module, body in ({"__init__": ""} | modules).items():
            (tmp_path / name / f"{module}.py").write_text(textwrap.dedent(body))
        return import_module(name)

    return make


GOOD = """
    from plugin_base import Plugin

    class Mine(Plugin):
        def work(self): return 1
"""


def test_a_new_file_is_a_new_component(package):
    found = discover(package("plugins_a", one=GOOD, two=GOOD, _private="raise OSError"), Plugin)
    assert list(found) == ["one", "two"]
    assert found["one"]().work() == 1


def test_what_is_not_wanted_is_not_even_imported(package):
    found = discover(package("plugins_w", one=GOOD, two="raise OSError"), Plugin, "one".__eq__)
    assert list(found) == ["one"]


@pytest.mark.parametrize(
    ("body", "count"),
    [("", 0), ("from plugin_base import Plugin", 0), (GOOD + "\n    class Two(Mine): ...", 2)],
)
def test_a_module_with_none_or_two_is_a_mistake_that_is_named(package, body, count):
    made = package(f"plugins_{count}_{len(body)}", odd=body)
    with pytest.raises(TypeError, match=rf"odd: expected one Plugin, found {count}"):
        discover(made, Plugin)


class FakeRegistry(BaseHTTPRequestHandler):
    """The three calls of Confluent's REST API, as its reference describes them."""

    schemas: ClassVar[list] = []
    asked: ClassVar[list] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(self.path)
        if self.path.endswith("/versions") and body["schema"] not in self.schemas:
            if "incompatible" in body["schema"]:
                self.answer(409, {"error_code": 409, "message": "Schema being registered is..."})
                return
            self.schemas.append(body["schema"])
        if body["schema"] not in self.schemas:
            self.answer(404, {"error_code": 40403, "message": "Schema not found"})
            return
        self.answer(200, {"id": self.schemas.index(body["schema"]) + 1})

    def do_GET(self):
        self.asked.append(self.path)
        place = int(self.path.rpartition("/")[2]) - 1
        if place < len(self.schemas):
            self.answer(200, {"schema": self.schemas[place]})
        else:
            self.answer(404, {"error_code": 40403, "message": "Schema not found"})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    FakeRegistry.schemas, FakeRegistry.asked = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeRegistry)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def registry(url):
    made = schema_registry(Settings(schema_registry=url))
    yield made
    made.close()


def test_registered_schemas_are_found_again_and_asked_for_once(registry, url):
    first = registry.register("alert", avro.text("alert"))
    other = SchemaRegistry(url)
    assert other.id_of("alert", avro.text("alert")) == first
    assert other.id_of("alert", avro.text("alert")) == first
    assert other.schema_of(first) == other.schema_of(first) == avro.text("alert")
    other.close()
    assert FakeRegistry.asked == [
        "/subjects/alerts-value/versions",
        "/subjects/alerts-value",
        f"/schemas/ids/{first}",
    ]


def test_records_travel_in_the_confluent_wire_format(registry):
    for name in avro.names():
        registry.register(name, avro.text(name))
    avro.configure(registry)
    try:
        batch = {"origin_partition": 0, "origin_first": 1, "origin_last": 2, "signals": []}
        batch["joins"] = None
        data = avro.encode("signal_batch", batch)
        assert data[0] == 0
        assert (
            json.loads(registry.schema_of(int.from_bytes(data[1:5], "big")))["name"]
            == "SignalBatch"
        )
        assert avro.decode("signal_batch", data) == batch
    finally:
        avro.configure(None)


def test_a_schema_that_was_never_registered_says_how_to(registry):
    with pytest.raises(KafkaError, match="topics create"):
        registry.id_of("alert", avro.text("alert"))


def test_a_refused_schema_is_an_error_with_the_reason(registry):
    with pytest.raises(KafkaError, match="409"):
        registry.register("alert", '"incompatible"')


def test_an_unknown_id_is_a_lookup_error(registry):
    with pytest.raises(LookupError, match="77"):
        registry.schema_of(77)


def test_a_registry_that_is_down_is_an_error_that_names_the_setting():
    registry = SchemaRegistry("http://127.0.0.1:1")
    with pytest.raises(KafkaError, match="SENTINEL_SCHEMA_REGISTRY"):
        registry.schema_of(1)
    registry.close()


def test_no_registry_is_the_default():
    assert schema_registry(Settings(schema_registry="")) is None
