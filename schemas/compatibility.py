"""Refuse a change of a schema that would break a reader or a writer already deployed.

``python -m schemas.compatibility`` (run by CI) checks ``schemas/*.avsc`` against every
version in ``schemas/released/<name>.<number>.avsc``, both ways, because workers are
upgraded one by one: new ones read what old ones wrote (backward) and old ones what new
ones wrote (forward). At a release, ``python -m schemas.compatibility --release`` adds
what has changed to ``released/``.

Rules: "Schema Resolution" of the Apache Avro 1.12 specification. So: a new field needs
a default, only a field with a default may go, nothing changes its type.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from schemas import avro
from sentinel.errors import IncompatibleSchemaError

Schema = Any
RELEASED = avro.HERE / "released"

_PROMOTED = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}


class Problem(NamedTuple):
    """Why something written cannot be read; `path` such as ``SignalBatch.signals[].score``."""

    path: str
    reason: str


def check(name: str, old: Schema, new: Schema) -> None:
    """Make sure that `old` and `new` can read each other's records.

    Parameters
    ----------
    old, new
        Schemas as decoded JSON.

    Raises
    ------
    IncompatibleSchemaError
        They cannot; the message names each place and reason.
    """
    backward = [f"a new reader breaks: {p.path}: {p.reason}" for p in problems(old, new)]
    forward = [f"an old reader breaks: {p.path}: {p.reason}" for p in problems(new, old)]
    if found := [*backward, *forward]:
        raise IncompatibleSchemaError(
            f"{name}: expected a change that deployed readers survive, found "
            f"{'; '.join(found)}; give new fields a default and keep the others as they are"
        )


def problems(writer: Schema, reader: Schema) -> list[Problem]:
    """Return every reason why `reader` cannot read what `writer` wrote."""
    return list(_Resolution().compare(writer, reader, ""))


class _Resolution:
    """One comparison; remembers the named types it met on either side."""

    def __init__(self) -> None:
        self._named: tuple[dict[str, Schema], dict[str, Schema]] = ({}, {})
        self._seen: set[tuple[int, int]] = set()

    def compare(self, writer: Schema, reader: Schema, path: str) -> Iterator[Problem]:
        """Yield the problems at `path` and below."""
        writer, reader = self._resolve(writer, 0), self._resolve(reader, 1)
        if (pair := (id(writer), id(reader))) in self._seen:
            return
        if isinstance(writer, dict):
            self._seen.add(pair)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.compare(branch, reader, path)
        elif isinstance(reader, list):
            yield from self._any_branch(writer, reader, path)
        else:
            yield from self._one(writer, reader, path)

    def _resolve(self, schema: Schema, side: int) -> Schema:
        """Return the definition of a named type, the name of a primitive, or a union."""
        if isinstance(schema, str):
            return self._named[side].get(schema.rpartition(".")[2], schema)
        if isinstance(schema, dict):
            if "name" in schema:
                self._named[side][_short(schema)] = schema
            elif schema["type"] not in ("array", "map"):
                return self._resolve(schema["type"], side)
        return schema

    def _any_branch(self, writer: Schema, union: Schema, path: str) -> Iterator[Problem]:
        tried = [list(self.compare(writer, branch, path)) for branch in union]
        if all(tried):
            yield Problem(path, f"{_kind(writer)} is not in the union that reads it")

    def _one(self, writer: Schema, reader: Schema, path: str) -> Iterator[Problem]:
        kind, wanted = _kind(writer), _kind(reader)
        if kind != wanted:
            if wanted not in _PROMOTED.get(kind, ()):
                yield Problem(path, f"{kind} is read as {wanted}")
        elif kind in ("record", "enum", "fixed") and _short(writer) != _short(reader):
            yield Problem(path, f"{_short(writer)} is read as {_short(reader)}")
        elif kind == "record":
            yield from self._fields(writer, reader, f"{path or _short(reader)}")
        elif kind == "enum":
            yield from _symbols(writer, reader, path)
        elif kind == "fixed" and writer["size"] != reader["size"]:
            yield Problem(path, f"{writer['size']} bytes are read as {reader['size']}")
        elif kind in ("array", "map"):
            inner = "items" if kind == "array" else "values"
            yield from self.compare(writer[inner], reader[inner], f"{path}[]")

    def _fields(self, writer: Schema, reader: Schema, path: str) -> Iterator[Problem]:
        written = {field["name"]: field for field in writer["fields"]}
        # Definitions come first where they are first used, read or not.
        for field in writer["fields"]:
            self._learn(field["type"], 0)
        for field in reader["fields"]:
            at = f"{path}.{field['name']}"
            names = [field["name"], *field.get("aliases", ())]
            match = next((written[name] for name in names if name in written), None)
            if match is not None:
                yield from self.compare(match["type"], field["type"], at)
                continue
            self._learn(field["type"], 1)
            if "default" not in field:
                yield Problem(at, "is not written, and has no default")

    def _learn(self, schema: Schema, side: int) -> None:
        """Note the named types inside a schema that is not compared."""
        schema = self._resolve(schema, side) if not isinstance(schema, str) else schema
        if isinstance(schema, list):
            for branch in schema:
                self._learn(branch, side)
        elif isinstance(schema, dict):
            parts = [schema[key] for key in ("items", "values") if key in schema]
            parts += [field["type"] for field in schema.get("fields", ())]
            for part in parts:
                self._learn(part, side)


def _symbols(writer: Schema, reader: Schema, path: str) -> Iterator[Problem]:
    unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if unknown and "default" not in reader:
        yield Problem(path, f"symbols {', '.join(unknown)} are not known to the reader")


def _kind(schema: Schema) -> str:
    return schema if isinstance(schema, str) else str(schema["type"])


def _short(schema: Schema) -> str:
    return str(schema["name"]).rpartition(".")[2]


def released(name: str) -> list[Path]:
    """Return the released versions of a schema, oldest first."""
    return sorted(RELEASED.glob(f"{name}.*.avsc"), key=lambda path: int(path.stem.split(".")[1]))


def check_all() -> int:
    """Check every schema against all its released versions; return how many pairs were fine.

    Raises
    ------
    IncompatibleSchemaError
        A schema breaks one of them, or one that was released is gone.
    """
    pairs = 0
    present = avro.names()
    for path in sorted(RELEASED.glob("*.avsc")):
        if (name := path.stem.split(".")[0]) not in present:
            raise IncompatibleSchemaError(
                f"expected {name}.avsc, which {path.name} released; it is gone"
            )
    for name in present:
        for path in released(name):
            check(f"{name} against {path.name}", json.loads(path.read_text()), _current(name))
            pairs += 1
    return pairs


def release() -> list[str]:
    """Copy each schema that differs from its last released version; return the new files."""
    check_all()
    made = []
    for name in avro.names():
        versions = released(name)
        if versions and json.loads(versions[-1].read_text()) == _current(name):
            continue
        path = RELEASED / f"{name}.{len(versions) + 1}.avsc"
        path.parent.mkdir(exist_ok=True)
        path.write_text(avro.text(name))
        made.append(path.name)
    return made


def _current(name: str) -> Schema:
    return json.loads(avro.text(name))


def main(arguments: Sequence[str]) -> int:
    """Run the check, or with ``--release`` the release; return the exit status."""
    try:
        if "--release" in arguments:
            sys.stdout.write(f"released: {', '.join(release()) or 'nothing new'}\n")
        else:
            sys.stdout.write(f"{check_all()} released schemas can be read and written\n")
    except IncompatibleSchemaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
