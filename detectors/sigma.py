"""Load Sigma rules from any checkout: rules that run, and those that do not with the reason.

pySigma parses (rules, modifiers, conditions); parsed rules are kept in a cache file
keyed by the content of their file, because start-up reads some three thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid5

import msgspec
import yaml
from sigma.collection import deep_dict_update

from detectors.engine import condition, leaves, parse
from detectors.engine.condition import LogSource, Rule
from detectors.engine.parse import Placeholders, parse_rule
from detectors.fields import qualified
from detectors.match import GetterFactory, Matcher, Text
from sentinel.errors import RuleError

__all__ = ["LogSource", "Rule", "RuleSet", "Unsupported"]

#: Namespace of the ids of rules that state none: uuid5(this, place in the directory); itself
#: uuid5(NAMESPACE_URL, "https://sentinel.invalid/rule").
RULE_NAMESPACE = UUID("a07b4c0e-9ed3-5ead-b3c5-b3968e815d7f")

#: What decides how a file is parsed: a change of it makes another cache.
_PARSED_BY = (Path(__file__), *(Path(str(each.__file__)) for each in (condition, leaves, parse)))

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[misc]
    """A safe YAML loader that refuses a key that occurs twice: half the rule would be lost."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Build a mapping; raise ConstructorError where a key occurs twice."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value.__hash__ and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} occurs twice", key.start_mark
                )
            seen.add(key.value if key.value.__hash__ else id(key))
        return super().construct_mapping(node, deep)


class Unsupported(msgspec.Struct, frozen=True, tag="unsupported"):
    """A document that is not run, and why.

    Attributes
    ----------
    path
        Its file.
    line
        Line at which the document starts, or the YAML error is; from 1.
    rule_id
        The id it states, or "".
    reason
        One sentence for its author.
    """

    path: str
    line: int
    rule_id: str
    reason: str


class Source(Protocol):
    """What is known of a source's events; `connectors.base.LogSource` is one."""

    @property
    def product(self) -> str:
        """Sigma product, or ""."""

    @property
    def category(self) -> str:
        """Sigma category, or ""."""

    @property
    def service(self) -> str:
        """Sigma service, or ""."""


class RuleSet:
    """Rules in a stable order, and what could not be loaded."""

    def __init__(self, rules: Iterable[Rule] = (), unsupported: Iterable[Unsupported] = ()) -> None:
        self.rules = tuple(rules)
        self.unsupported = tuple(unsupported)

    @classmethod
    def load(
        cls,
        dirs: Iterable[Path],
        *,
        cache: Path | None = None,
        placeholders: Placeholders | None = None,
    ) -> RuleSet:
        """Load every ``*.yml`` and ``*.yaml`` below `dirs` (or the files named themselves).

        Of two rules with one id the first is kept and the other listed.

        Parameters
        ----------
        dirs
            Directories, searched recursively in order of their paths.
        cache
            Directory in which parsed rules are kept between starts; None: nowhere.
        placeholders
            Values for ``%name%`` placeholders of the ``expand`` modifier.

        Raises
        ------
        RuleError
            One of `dirs` does not exist.
        """
        parser = _Parser(placeholders or {}, cache)
        found = [
            _placed(part, path, root)
            for root in dirs
            for path in _files(root)
            for part in parser.parse(path.read_bytes())
        ]
        parser.save()
        return cls(*_unique(found))

    def select(self, logsources: Iterable[Source]) -> RuleSet:
        """Return the rules that are meant for any of `logsources`.

        A rule's stated product, category and service must each equal the source's;
        what the rule does not state fits any. Rules of a category ask for their fields
        as `detectors.fields` describes.
        """
        sources = list(logsources)
        chosen = [rule for rule in self.rules if any(_fits(rule.logsource, s) for s in sources)]
        return RuleSet(map(qualified, chosen), self.unsupported)

    def matcher(self, getter_factory: GetterFactory, text: Text | None = None) -> Matcher:
        """Compile the rules for events whose fields `getter_factory` finds."""
        return Matcher(self.rules, getter_factory, text)

    def reading(self, decoder: Any) -> Matcher:
        """Compile the rules for what a connector's decoder returns (see `connectors.base`).

        What it has of `text`, where keywords are searched, of `raw`, its JSON, and of `seen`,
        the top-level keys of all events so far, is used; see `Matcher`.
        """
        text, raw = getattr(decoder, "text", None), getattr(decoder, "raw", None)
        seen = decoder if hasattr(decoder, "seen") else None
        return Matcher(self.rules, decoder.getter, text, seen, raw)


def _fits(wanted: LogSource, source: Source) -> bool:
    return (
        wanted.product in ("", source.product)
        and wanted.category in ("", source.category)
        and wanted.service in ("", source.service)
    )


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise RuleError(f"{root}: expected a directory of Sigma rules, found nothing there")
    return sorted(path for ext in ("*.yml", "*.yaml") for path in root.rglob(ext))


def _placed(part: Rule | Unsupported, path: Path, root: Path) -> Rule | Unsupported:
    """Tell a parsed document where it came from."""
    if isinstance(part, Unsupported):
        return msgspec.structs.replace(part, path=str(path))
    place = path.name if path == root else path.relative_to(root).as_posix()
    rule_id = part.id or str(uuid5(RULE_NAMESPACE, f"{place}{part.path}"))
    return msgspec.structs.replace(part, id=rule_id, title=part.title or path.stem, path=str(path))


def _unique(
    parts: Iterable[Rule | Unsupported],
) -> tuple[list[Rule], list[Unsupported]]:
    rules: dict[str, Rule] = {}
    unsupported = []
    for part in parts:
        if isinstance(part, Unsupported):
            unsupported.append(part)
        elif part.id in rules:
            reason = f"the id {part.id} is taken by {rules[part.id].path}, loaded before it"
            unsupported.append(Unsupported(part.path, 1, part.id, reason))
        else:
            rules[part.id] = part
    return list(rules.values()), unsupported


class _Parser:
    """Parses files, remembering results by content; `save` writes what is new."""

    def __init__(self, placeholders: Placeholders, cache: Path | None) -> None:
        self.placeholders = placeholders
        versions = [version(name) for name in ("pysigma", "google-re2", "pyyaml")]
        values = {name: list(values) for name, values in sorted(placeholders.items())}
        code = [file.read_bytes() for file in _PARSED_BY]
        key = sha256(msgspec.msgpack.encode([code, versions, values])).hexdigest()[:16]
        self.file = cache / f"sigma-{key}.msgpack" if cache else None
        self.known = _read(self.file)
        self.used: dict[str, list[Rule | Unsupported]] = {}

    def parse(self, content: bytes) -> list[Rule | Unsupported]:
        """Return the rules of one file; their ids and paths are yet to be completed."""
        digest = sha256(content).hexdigest()
        parts = self.known.get(digest)
        if parts is None:
            parts = list(_documents(content, self.placeholders))
        self.used[digest] = parts
        return parts

    def save(self) -> None:
        """Write the cache where something new was parsed; failing to is not an error."""
        if self.file is None or self.used.keys() <= self.known.keys():
            return
        part = self.file.with_suffix(".part")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(_ENCODER.encode(self.known | self.used))
            part.replace(self.file)
        except OSError:
            part.unlink(missing_ok=True)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(dict[str, list[Rule | Unsupported]])


def _read(file: Path | None) -> dict[str, list[Rule | Unsupported]]:
    try:
        return _DECODER.decode(file.read_bytes()) if file else {}
    except (OSError, msgspec.MsgspecError):
        return {}  # no cache yet, or one that a crash cut short: parse again


def _documents(content: bytes, placeholders: Placeholders) -> Iterator[Rule | Unsupported]:
    """Parse the documents of one file; a rule's `path` is its number there, from the second."""
    try:
        documents = list(yaml.load_all(content, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        yield Unsupported("", mark.line + 1 if mark else 1, "", f"not valid YAML: {problem}")
        return
    lines = _starts(content)
    for index, document in enumerate(_merged(documents)):
        if document is None:
            continue
        try:
            rule = parse_rule(document, placeholders)
            yield msgspec.structs.replace(rule, path=f"#{index}" if index else "")
        except RuleError as error:
            stated = document.get("id", "") if isinstance(document, dict) else ""
            line = lines[index] if index < len(lines) else 1
            yield Unsupported("", line, str(stated), str(error))


def _starts(content: bytes) -> list[int]:
    """Return the line at which each document of a file starts, from 1."""
    lines = content.split(b"\n")
    marks = [number for number, line in enumerate(lines, 1) if line.rstrip() == b"---"]
    first = marks[0] if marks else 0
    bare = [line for line in lines[: first - 1] if line.strip() and not line.startswith(b"#")]
    return [mark + 1 for mark in marks] if marks and not bare else [1, *(m + 1 for m in marks)]


def _merged(documents: Sequence[Any]) -> Iterator[Any]:
    """Apply Sigma's collection actions (``global``, ``reset``, ``repeat``); None is no rule.

    The same merging as `sigma.collection.SigmaCollection.from_dicts`.
    """
    template: dict[Any, Any] = {}
    previous: dict[Any, Any] = {}
    for document in documents:
        action = document.get("action") if isinstance(document, dict) else None
        if action == "global":
            template = {key: value for key, value in document.items() if key != "action"}
            previous = template
            yield None
        elif action == "reset":
            template = {}
            yield None
        elif action == "repeat":
            addition = {key: value for key, value in document.items() if key != "action"}
            previous = deep_dict_update(deepcopy(previous), addition)
            yield previous
        elif isinstance(document, dict) and "correlation" not in document:
            previous = deep_dict_update(deepcopy(document), template)
            yield previous
        else:
            yield document
