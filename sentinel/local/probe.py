"""Ask whether something on the loopback interface answers."""

from __future__ import annotations

import http.client
import socket

HOST = "127.0.0.1"


def listens(port: int) -> bool:
    """Return whether something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def healthy(port: int, path: str = "/health", timeout_s: float = 2.0) -> bool:
    """Return whether a GET of `path` is answered with status 200 within `timeout_s`."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
