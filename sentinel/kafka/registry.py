"""The Confluent schema registry: what `schemas.avro.configure` wants, over HTTP.

Three calls of its REST API (Confluent Schema Registry API reference, v1). Over httpx,
because the client in confluent-kafka brings two more HTTP stacks for them.
"""

from __future__ import annotations

from typing import Any

import httpx

from sentinel import errors
from sentinel.settings import Settings
from sentinel.topics import TOPICS

_TIMEOUT_S = 10.0
_RETRIES = 3
_HEADERS = {"Content-Type": "application/vnd.schemaregistry.v1+json"}


class SchemaRegistry:
    """A schema registry with one subject a topic, ``<topic>-value``; answers are cached.

    Parameters
    ----------
    url
        Address, such as ``http://registry:8081``; user and password may be part of it.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers=_HEADERS,
            timeout=_TIMEOUT_S,
            transport=httpx.HTTPTransport(retries=_RETRIES),
        )
        self._ids: dict[str, int] = {}
        self._schemas: dict[int, str] = {}

    def register(self, name: str, schema: str) -> int:
        """Register the JSON `schema` of `name` under its topics; return its id.

        Raises
        ------
        KafkaError
            The registry cannot be reached, or finds the schema incompatible.
        """
        for subject in _subjects(name):
            answer = self._ask("POST", f"/subjects/{subject}/versions", {"schema": schema})
            self._ids[name] = int(_ok(answer, f"take schema {name}")["id"])
        return self._ids[name]

    def id_of(self, name: str, schema: str) -> int:
        """Return the id under which `schema` is registered; it is never registered here.

        Raises
        ------
        KafkaError
            It is not registered, or the registry cannot be reached.
        """
        if name not in self._ids:
            answer = self._ask("POST", f"/subjects/{_subjects(name)[0]}", {"schema": schema})
            what = f"know schema {name} (`sentinel topics create` registers it)"
            self._ids[name] = int(_ok(answer, what)["id"])
        return self._ids[name]

    def schema_of(self, schema_id: int) -> str:
        """Return the JSON schema of an id.

        Raises
        ------
        LookupError
            There is no such id.
        KafkaError
            The registry cannot be reached.
        """
        if schema_id not in self._schemas:
            answer = self._ask("GET", f"/schemas/ids/{schema_id}", None)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise LookupError(f"no schema has id {schema_id}")
            self._schemas[schema_id] = str(_ok(answer, f"give schema {schema_id}")["schema"])
        return self._schemas[schema_id]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, method: str, path: str, body: dict[str, str] | None) -> httpx.Response:
        try:
            return self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise errors.KafkaError(
                f"expected an answer of the schema registry, found {error}; is "
                "SENTINEL_SCHEMA_REGISTRY its address?"
            ) from error


def schema_registry(settings: Settings) -> SchemaRegistry | None:
    """Return the registry of the settings, or None where there is none."""
    return SchemaRegistry(settings.schema_registry) if settings.schema_registry else None


def _subjects(name: str) -> list[str]:
    subjects = [f"{topic.name}-value" for topic in TOPICS if topic.schema == name]
    if not subjects:
        raise errors.KafkaError(f"expected a schema of a topic in sentinel/topics.py, found {name}")
    return subjects


def _ok(answer: httpx.Response, what: str) -> Any:
    """Return the JSON of a good answer."""
    if answer.is_success:
        return answer.json()
    raise errors.KafkaError(
        f"expected the schema registry to {what}, found status {answer.status_code}: "
        f"{answer.text[:500]}"
    )
