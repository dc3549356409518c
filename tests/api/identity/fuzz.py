"""Throw what schemathesis makes of the OpenAPI at the API: no 5xx, no breach of the schema.

``make fuzz N=10000`` (or ``python -m tests.api.identity.fuzz -n 10000``) starts a Kafka and a
PostgreSQL of its own, asks the API as the administrator of all tenants (and without a token:
`ignored_auth`), and ends with status 1 where a case failed, with the request that repeats it.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

import detectors.models
from api.app import create
from detectors.base import Model
from sentinel import settings as settings_module
from sentinel.kafka import create_topics
from sentinel.local import Stack
from sentinel.registry import discover
from sentinel.settings import Settings
from streams.runtime.migrate import apply

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_headers_conformance", "response_schema_conformance", "ignored_auth"),
)
#: Streams never end; what fuzzing ends is the session or tenant that it fuzzes with.
LEFT_OUT = r"/stream$|/live$|/events/follow$|/auth/logout$|/second-factor"
ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Serve the API on a thread; yield its address."""
    unlimited = {"api_user_per_min": 0, "api_address_per_min": 0}
    app = create(settings.model_copy(update=unlimited))
    app.state.identity.rates.sign_ins = 0
    app.openapi()  # made now, so that it is there when it is asked for
    # so are the kernels of models: a fresh checkout compiles them for longer than a case may take
    discover(detectors.models, Model)  # type: ignore[type-abstract]
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
        if not thread.is_alive():
            raise RuntimeError("expected the API to start, it did not")
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def command(
    url: str, token: str, *, examples: int, phases: str, seed: int | None = None
) -> list[str]:
    """Return the call of schemathesis for the API at `url`, `examples` for each operation."""
    return [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS)),
        *("--exclude-path-regex", LEFT_OUT, "--phases", phases),
        *("--max-examples", str(examples), "--continue-on-failure", "--no-shrink"),
        *("--request-timeout", "30", "--suppress-health-check", "all", "--warnings", "off"),
        *(("--seed", str(seed)) if seed is not None else ()),
    ]


def environment() -> dict[str, str]:
    """Return the variables of that call."""
    return os.environ | {
        "COLUMNS": "140",
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.api.identity.fuzz_hooks",
    }


def main() -> int:
    """Run it; return 1 where a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10_000, help="about as many cases in all")
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        stack = Stack(settings_module.load().model_copy(update={"home": home}))
        stack.start()
        try:
            apply(stack.postgres)
            where = {"home": home, "postgres": stack.postgres, "kafka": stack.kafka}
            settings = stack.settings.model_copy(update=where)
            create_topics(settings, ["cloudtrail"])
            with served(settings) as url:
                token = (home / "api-token").read_text().strip()
                operations = sum(map(len, create(settings).openapi()["paths"].values()))
                # valid, invalid, and some in sequence
                each = math.ceil(asked.n / (2.5 * operations))
                phases = "examples,coverage,fuzzing,stateful"
                line = command(url, token, examples=each, phases=phases, seed=asked.seed)
                return subprocess.run(line, check=False, env=environment(), cwd=home).returncode
        finally:
            stack.stop()


if __name__ == "__main__":
    sys.exit(main())
