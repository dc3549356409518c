"""Who we are to a Kubernetes cluster: a pod of it, or somebody with a kubeconfig.

A pod's token is renewed by the kubelet, so its file is read for each request that was refused.
Of a kubeconfig, ``token`` and ``tokenFile`` are understood; client certificates and what starts a
program for a token (``exec``) are not: make a token with ``kubectl create token``.

Source: Kubernetes documentation, "Accessing the Kubernetes API from a Pod", "Organizing cluster
access using kubeconfig files".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from connectors._reading.base import DeniedError

POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVER: Final = "https://kubernetes.default.svc"


class Cluster(NamedTuple):
    """Where the API is, what certificates it is trusted by, and the token to come with."""

    server: str
    ca: str
    token: Callable[[bool], str]


def in_pod(server: str, token_file: Path, ca: str) -> Cluster:
    """Return the cluster of a token in a file; DeniedError where it cannot be read."""
    known: list[str] = []

    def token(fresh: bool) -> str:
        if fresh or not known:
            known[:] = [_read(token_file)]
        return known[0]

    return Cluster(server, ca, token)


def from_config(path: Path, context: str, folder: Path) -> Cluster:
    """Return the cluster of a context of a kubeconfig.

    Parameters
    ----------
    context
        Name of the context; none: the current one.
    folder
        Where a certificate that stands in the file is written to.

    Raises
    ------
    DeniedError
        The file, or what is named in it, is not there or of no kind that is understood.
    """
    try:
        config = yaml.safe_load(_read(path))
    except yaml.YAMLError as error:
        raise DeniedError(f"{path}: expected YAML, found {error!s:.120}") from error
    config = config if isinstance(config, dict) else {}
    name = context or config.get("current-context", "")
    chosen = _named(config, "contexts", name, "context")
    cluster = _named(config, "clusters", chosen.get("cluster", ""), "cluster")
    user = _named(config, "users", chosen.get("user", ""), "user")
    ca = str(cluster.get("certificate-authority") or "")
    if data := cluster.get("certificate-authority-data"):
        ca = str(_written(folder / "ca.pem", data))
    return Cluster(str(cluster.get("server", "")), ca, _token(user, path))


def _token(user: dict[str, Any], path: Path) -> Callable[[bool], str]:
    if file := user.get("tokenFile"):
        return in_pod("", Path(str(file)), "").token
    token = user.get("token")
    if not isinstance(token, str) or not token:
        raise DeniedError(
            f"{path}: expected a token or tokenFile of the user, found "
            f"{', '.join(sorted(user)) or 'nothing'}; make one with `kubectl create token`"
        )
    return lambda _fresh: token


def _named(config: dict[str, Any], kind: str, name: Any, inner: str) -> dict[str, Any]:
    for entry in config.get(kind) or ():
        if isinstance(entry, dict) and entry.get("name") == name:
            found = entry.get(inner)
            return found if isinstance(found, dict) else {}
    raise DeniedError(f"kubeconfig: expected {name!r} among {kind}, found no such entry")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DeniedError(f"{path}: expected a readable file, found {error}") from error


def _written(path: Path, data: Any) -> Path:
    try:
        path.write_bytes(base64.b64decode(str(data), validate=True))
    except (OSError, binascii.Error) as error:
        raise DeniedError(f"kubeconfig: expected a certificate in base64, found {error}") from error
    return path
