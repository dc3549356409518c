"""Which ways in there are, by name: those of every source, and those of one alone."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import isabstract
from typing import Final

from connectors._reading.base import Reader
from connectors.base import Connector
from sentinel.errors import SettingsError

#: For every source; ``module:class``, imported when it is asked for.
COMMON: Final[Mapping[str, str]] = {
    "files": "connectors._reading.files:FilesReader",
    "http": "connectors._reading.http:HttpReader",
    "kafka": "connectors._reading.kafka:KafkaReader",
    "s3": "connectors._aws.s3:S3Objects",
    "s3-sqs": "connectors._aws.sqs:S3Notified",
    "stdin": "connectors._reading.stdin:StdinReader",
    "tail": "connectors._reading.tailing.reader:TailReader",
    "unix": "connectors._reading.unix:UnixReader",
}


def ways(source: type[Connector]) -> dict[str, str]:
    """Return the ways into a source, its own first: name to ``module:class``."""
    return {**source.readers, **{k: v for k, v in COMMON.items() if k not in source.readers}}


def load(place: str) -> type[Reader]:
    """Return the reader at ``module:class``.

    Raises
    ------
    SettingsError
        It cannot be imported, or is no reader; the message says why.
    """
    module, _, name = place.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"expected a reader at {place}, found: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Reader) and not isabstract(found)):
        raise SettingsError(f"expected a class of readers at {place}, found {found!r:.80}")
    return found
