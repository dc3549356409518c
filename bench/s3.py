"""Back-fill of 5,000 small objects from S3 (moto's server), beside what the server gives at all."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import msgspec

from bench._with.bucket import BUCKET, serving
from bench._with.context import Context
from bench.measure import Meter, Row
from connectors._aws.s3 import S3Objects, S3Settings
from connectors.cloudtrail import CloudTrail

OBJECTS = 5000
EVENTS = 10
"""Events of an object: CloudTrail's are this small in accounts where little happens."""
CONNECTIONS = 8
CEILING = 1000
"""Objects got without client library, to know what the server gives."""


def run(context: Context) -> Iterator[Row]:
    """Read every object once; then some again, with nothing but HTTP."""
    raws = context.sample.raws[:EVENTS]
    content = msgspec.json.encode({"Records": [msgspec.Raw(raw) for raw in raws]})
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "x")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "x")
    context.report(f"filling a bucket with {OBJECTS} objects")
    with serving(OBJECTS, content) as url:
        given = {"bucket": BUCKET, "endpoint_url": url, "region": "us-east-1"}
        settings = S3Settings.model_validate(given | {"connections": CONNECTIONS})
        reader, meter, names = S3Objects(settings, CloudTrail()), Meter(), list[str]()
        meter.yardstick(raws)
        meter.begin()
        begun = time.perf_counter()
        for page in reader.read(None):
            meter.yardstick(raws)
            meter.note(len(page.records))
            names += page.done
        took = time.perf_counter() - begun
        reader.close()
        ceiling = _ceiling(url, names[:CEILING])
    row = meter.row("s3", objects=len(names), objects_per_s=round(len(names) / took))
    yield row | {
        "cpu_us_per_object": round(row["cpu_us_per_event"] * EVENTS, 1),
        "server_objects_per_s": round(ceiling),
    }


def _ceiling(url: str, names: list[str]) -> float:
    """Return how many objects a second the server gives to as many connections."""
    place = urlsplit(url).netloc
    paths = ["/" + quote(name.removeprefix("s3://")) for name in names]

    def got(mine: list[str]) -> None:
        link = http.client.HTTPConnection(place)
        for path in mine:
            link.request("GET", path)
            link.getresponse().read()
        link.close()

    begun = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(got, [paths[at::CONNECTIONS] for at in range(CONNECTIONS)]))
    return len(paths) / (time.perf_counter() - begun)
