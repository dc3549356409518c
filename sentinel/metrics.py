"""Every metric of Sentinel, defined once, and the port that shows them.

Labels are bounded: ``stage``, ``source`` and ``reason`` come from the code, ``tenant``
is folded by `tenant_label`. Times are seconds, as Prometheus asks. Each process serves
its own (`serve`); counters start at zero with it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

MAX_TENANTS = 200
_LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86400)
_BATCH = (1, 10, 50, 100, 500, 1000, 2000, 5000, 10_000, 50_000)

RECEIVED = Counter("sentinel_received", "Events a stage took in.", ["stage", "source", "tenant"])
EMITTED = Counter(
    "sentinel_emitted",
    "Events, signals or alerts a stage passed on.",
    ["stage", "source", "tenant"],
)
ERRORS = Counter(
    "sentinel_errors", "What a stage could not do, by reason.", ["stage", "source", "reason"]
)
DEAD_LETTERED = Counter(
    "sentinel_dead_lettered", "Records sent to dead_letter.", ["stage", "source", "reason"]
)
DUPLICATE = Counter(
    "sentinel_duplicate", "Events seen before, counted and dropped.", ["stage", "source", "tenant"]
)
LATE = Counter(
    "sentinel_late", "Events older than the allowed lateness.", ["stage", "source", "tenant"]
)
EVICTIONS = Counter("sentinel_evictions", "State dropped at its bound.", ["stage", "what"])
LAG = Gauge(
    "sentinel_lag", "Records of a partition not yet processed.", ["stage", "topic", "partition"]
)
BATCH_SIZE = Histogram(
    "sentinel_batch_size", "Events in a batch as processed.", ["stage"], buckets=_BATCH
)
BATCH_SECONDS = Histogram(
    "sentinel_batch_seconds", "Seconds a stage took for a batch.", ["stage"], buckets=_LATENCY_S
)
EVENT_LATENCY = Histogram(
    "sentinel_event_latency_seconds",
    "Seconds from the time of an event to the end of the stage.",
    ["stage", "source"],
    buckets=_LATENCY_S,
)
ARRIVAL_LATENCY = Histogram(
    "sentinel_arrival_latency_seconds",
    "Seconds from the arrival at the raw topic to the end of the stage.",
    ["stage", "source"],
    buckets=_LATENCY_S,
)
CHECKPOINT_SECONDS = Histogram(
    "sentinel_checkpoint_seconds", "Seconds a checkpoint of state took.", ["stage"]
)
MODEL_DRIFT = Counter(
    "sentinel_model_drift", "Changes of what is usual, after which models learn anew.", ["stage"]
)
LEDGER_BALANCE = Gauge(
    "sentinel_ledger_balance", "Events in minus all that became of them; 0 unless a bug.", ["stage"]
)
API_REQUESTS = Counter(
    "sentinel_api_requests", "Requests the API answered.", ["method", "route", "status"]
)
API_REQUEST_SECONDS = Histogram(
    "sentinel_api_request_seconds",
    "Seconds from a request to the head of its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

NEURAL_SPIKES = Counter("sentinel_neural_spikes", "Spikes detected.", ["tenant"])
DELIVERIES = Counter(
    "sentinel_deliveries", "Attempts to tell subscribers, by kind of channel.", ["kind", "outcome"]
)
NEURAL_EVENTS = Counter("sentinel_neural_events", "Neural events by kind.", ["tenant", "kind"])
NEURAL_MISSING_SAMPLES = Counter(
    "sentinel_neural_missing_samples", "Samples that never came.", ["tenant"]
)
NEURAL_CHANNELS = Gauge(
    "sentinel_neural_channels", "Channels by health, of each bank.", ["bank", "state"]
)
NEURAL_RATE = Gauge("sentinel_neural_rate_hz", "Spikes a second and channel.", ["bank"])
NEURAL_BAND_UV2 = Gauge(
    "sentinel_neural_band_uv2", "Median band power over a bank's channels, µV².", ["bank", "band"]
)
NEURAL_BEHIND = Gauge(
    "sentinel_neural_behind_seconds",
    "From when a block left its reader until what it gave was handed on.",
    ["bank"],
)

CONNECTOR_RECORDS = Counter(
    "sentinel_connector_records", "Records an input put into its topic.", ["input", "source"]
)
CONNECTOR_BYTES = Counter(
    "sentinel_connector_bytes", "Bytes of those records.", ["input", "source"]
)
CONNECTOR_PAGES = Counter(
    "sentinel_connector_pages", "Pages an input delivered.", ["input", "source"]
)
CONNECTOR_SKIPPED = Counter(
    "sentinel_connector_skipped",
    "What an input found that is no record of its source.",
    ["input", "source", "reason"],
)
CONNECTOR_ERRORS = Counter(
    "sentinel_connector_errors", "Failed attempts to read, by kind.", ["input", "source", "kind"]
)
CONNECTOR_LAG = Gauge(
    "sentinel_connector_lag_seconds",
    "How far an input is behind its source, where that says so.",
    ["input", "source"],
)
CONNECTOR_STORED = Gauge(
    "sentinel_connector_stored_timestamp_seconds",
    "When the position of an input was stored last, seconds since the epoch.",
    ["input", "source"],
)

_tenants: set[str] = set()


class Health(NamedTuple):
    """What a health check found.

    Attributes
    ----------
    ok
        False makes ``/health`` answer 503.
    detail
        What is the matter, or figures worth showing; must fit into JSON.
    """

    ok: bool
    detail: Any = ""


Check = Callable[[], Health]
_checks: dict[str, Check] = {}


def tenant_label(tenant: str) -> str:
    """Return `tenant`, or ``other`` once this process has seen 200: labels stay bounded."""
    if tenant in _tenants:
        return tenant
    if len(_tenants) >= MAX_TENANTS:
        return "other"
    _tenants.add(tenant)
    return tenant


def register(name: str, check: Check) -> None:
    """Let ``/health`` call `check` from now on; a quick function, called on another thread."""
    _checks[name] = check


def health() -> tuple[bool, dict[str, Any]]:
    """Run the registered checks; return whether all is well, and the JSON that says it."""
    found = {name: Health(*check()) for name, check in _checks.items()}
    ok = all(state.ok for state in found.values())
    return ok, {"ok": ok, "checks": {name: state._asdict() for name, state in found.items()}}


def serve(host: str = "127.0.0.1", port: int = 0) -> int:
    """Serve ``/metrics`` (Prometheus text) and ``/health`` (JSON, 503 when not well).

    The thread that serves ends with the process.

    Returns
    -------
    int
        The port: `port`, or a free one where that is 0.

    Raises
    ------
    OSError
        The address is taken or not ours.
    """
    server = make_server(host, port, _application(), ThreadingWSGIServer, _Quiet)
    threading.Thread(target=server.serve_forever, name="sentinel-metrics", daemon=True).start()
    return server.server_port


class _Quiet(WSGIRequestHandler):
    """Writes no access log."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _application() -> Any:
    metrics = make_wsgi_app()

    def application(environ: dict[str, Any], start: Any) -> Any:
        if environ["PATH_INFO"] == "/metrics":
            return metrics(environ, start)
        if environ["PATH_INFO"] != "/health":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"There are /metrics and /health."]
        ok, report = health()
        status = "200 OK" if ok else "503 Service Unavailable"
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(report).encode()]

    return application
