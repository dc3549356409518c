"""Metrics are documented, used, bounded, and served beside the health of the process."""

import ast
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from sentinel import metrics
from sentinel.metrics import Health

ROOT = Path(metrics.__file__).parent.parent
DEFINED = {
    name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)
}
#: Defined for a stage that does not fill them yet; take a name out once it does.
NOT_YET_USED: set[str] = set()


@pytest.fixture(scope="module")
def port():
    return metrics.serve()


@pytest.fixture
def checks(monkeypatch):
    """Let a test register checks that are gone after it."""
    monkeypatch.setattr(metrics, "_checks", {})
    return metrics.register


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def names_used():
    """Return every name that our code takes from the module, by attribute or by import."""
    used = set()
    folders = ("sentinel", "schemas", "connectors", "streams", "detectors", "api")
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        if path == Path(metrics.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.ImportFrom) and node.module == "sentinel.metrics":
                used |= {alias.name for alias in node.names}
    return used


@pytest.mark.parametrize("name", DEFINED)
def test_every_metric_is_documented_and_named_after_its_constant(name):
    (family,) = DEFINED[name].describe()
    assert family.name.startswith("sentinel_")
    assert name.lower() in family.name
    assert family.documentation.endswith(".")


def test_every_metric_is_used():
    assert set(DEFINED) - names_used() <= NOT_YET_USED


def test_metrics_are_served_as_prometheus_reads_them(port):
    metrics.RECEIVED.labels("test", "cloudtrail", "acme").inc(3)
    metrics.BATCH_SIZE.labels("test").observe(500)
    status, text = get(port, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {
        (s.name, s.labels.get("tenant")): s.value for s in families["sentinel_received"].samples
    }
    assert status == 200
    assert samples["sentinel_received_total", "acme"] == 3
    assert families["sentinel_batch_size"].type == "histogram"


def test_health_is_that_of_the_registered_checks(port, checks):
    assert get(port, "/health") == (200, '{"ok": true, "checks": {}}')
    checks("kafka", lambda: Health(True, {"lag": 4}))
    checks("db", lambda: Health(False, "refused"))
    status, text = get(port, "/health")
    assert status == 503
    assert json.loads(text) == {
        "ok": False,
        "checks": {
            "kafka": {"ok": True, "detail": {"lag": 4}},
            "db": {"ok": False, "detail": "refused"},
        },
    }


def test_there_is_nothing_else(port):
    assert get(port, "/")[0] == 404


def test_taken_port_is_an_error(port):
    with pytest.raises(OSError, match="in use"):
        metrics.serve(port=port)


def test_tenant_labels_are_bounded(monkeypatch):
    monkeypatch.setattr(metrics, "_tenants", set())
    labels = {metrics.tenant_label(f"t{n}") for n in range(10_000)}
    assert len(labels) == metrics.MAX_TENANTS + 1
    assert metrics.tenant_label("t0") == "t0"
    assert metrics.tenant_label("t9999") == "other"


def test_importing_twice_defines_once():
    assert len({id(collector) for collector in DEFINED.values()}) == len(DEFINED)
    assert REGISTRY.get_sample_value("sentinel_received_total", {"stage": "no"}) is None
