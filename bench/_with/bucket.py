"""A bucket of CloudTrail's log files on moto's server, in a process of its own.

``python -m bench._with.bucket OBJECTS`` fills it, prints its URL, and serves until it is ended;
what the log files hold is read from standard input, one file's content.
"""

from __future__ import annotations

import gzip
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

BUCKET = "logs"
ACCOUNT = "123456789012"
#: Days that the objects are spread over, all of them over.
DAYS = 5


@contextmanager
def serving(objects: int, content: bytes) -> Iterator[str]:
    """Run the process; yield the URL of its server."""
    command = [sys.executable, "-m", "bench._with.bucket", str(objects)]
    environment = os.environ | {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, text=False, **pipes) as process:  # type: ignore[call-overload]
        try:
            process.stdin.write(content)
            process.stdin.close()
            yield process.stdout.readline().decode().strip()
        finally:
            process.terminate()


def main(objects: int) -> None:
    """Fill a bucket and serve it."""
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    body = gzip.compress(sys.stdin.buffer.read())
    store = s3_backends[ACCOUNT]["aws"]
    store.create_bucket(BUCKET, "us-east-1")
    today = datetime.now(UTC)
    for number in range(objects):
        day = today - timedelta(days=2 + number * DAYS // objects)
        folder = f"AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/{day:%Y/%m/%d}"
        store.put_object(BUCKET, f"{folder}/{ACCOUNT}_CloudTrail_{number:06}.json.gz", body)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
