"""Load Sigma rules from any checkout: rules that run, and those that do not with the reason.

pySigma parses (rules, modifiers, conditions); parsed rules are kept in a cache file
keyed by the content of their file, because start-up reads some three thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec
import yaml

from detectors.correlation import rules as correlation_rules
from detectors.correlation.plan import Plan
from detectors.correlation.rules import Correlation, parse_correlation
from detectors.engine import aggregation, condition, leaves, parse
from detectors.engine import documents as documents_module
from detectors.engine.condition import Filter, LogSource, Rule
from detectors.engine.documents import Loader, documents
from detectors.engine.parse import Placeholders, parse_document
from detectors.fields import qualified
from detectors.filters import Source, filtered, fits
from detectors.match import GetterFactory, Matcher, Text
from sentinel.errors import RuleError

__all__ = ["LogSource", "Rule", "RuleSet", "Unsupported"]

#: Namespace of the ids of rules that state none: uuid5(this, place in the directory); itself
#: uuid5(NAMESPACE_URL, "https://sentinel.invalid/rule").
RULE_NAMESPACE = UUID("a07b4c0e-9ed3-5ead-b3c5-b3968e815d7f")

#: What decides how a file is parsed: a change of it makes another cache.
_PARSED_BY = (
    Path(__file__),
    *(
        Path(str(each.__file__))
        for each in (aggregation, condition, documents_module, leaves, parse, correlation_rules)
    ),
)

#: Files with the values of placeholders: a mapping of names to lists. They are no rules.
PLACEHOLDERS = ("placeholders.yml", "placeholders.yaml")


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


Part = Rule | Filter | Correlation | Unsupported


class RuleSet:
    """Rules in a stable order, what correlates them, and what could not be loaded.

    Parameters
    ----------
    rules
        The rules.
    unsupported
        What is not run, and why.
    plan
        The correlations over these rules, or over the set that these were selected from.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        unsupported: Iterable[Unsupported] = (),
        plan: Plan | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self.unsupported = tuple(unsupported)
        self.plan = plan or Plan()

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
            Values for ``%name%`` placeholders of the ``expand`` modifier, before those in
            files named `PLACEHOLDERS` below `dirs`.

        Raises
        ------
        RuleError
            One of `dirs` does not exist.
        """
        files = [(path, root) for root in dirs for path in _files(root)]
        values, bad = _values([path for path, _ in files if path.name in PLACEHOLDERS])
        parser = _Parser({**values, **(placeholders or {})}, cache)
        found = [
            _placed(part, path, root)
            for path, root in files
            if path.name not in PLACEHOLDERS
            for part in parser.parse(path.read_bytes())
        ]
        parser.save()
        rules, correlations, unsupported = _unique(found)
        filters = [part for part in found if isinstance(part, Filter)]
        rules, idle = filtered(rules, filters)
        plan = Plan(rules, correlations)
        refused = [Unsupported(each.path, 1, each.id, why) for each, why in plan.refused]
        idles = [_idle(each, why) for each, why in idle]
        return cls(rules, [*unsupported, *idles, *refused, *bad], plan)

    def select(self, logsources: Iterable[Source]) -> RuleSet:
        """Return the rules that are meant for any of `logsources`.

        A rule's stated product, category and service must each equal the source's;
        what the rule does not state fits any. Rules of a category ask for their fields
        as `detectors.fields` describes.
        """
        sources = list(logsources)
        chosen = [rule for rule in self.rules if any(fits(rule.logsource, s) for s in sources)]
        return RuleSet(map(qualified, chosen), self.unsupported, self.plan)

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


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise RuleError(f"{root}: expected a directory of Sigma rules, found nothing there")
    return sorted(path for ext in ("*.yml", "*.yaml") for path in root.rglob(ext))


def _placed(part: Part, path: Path, root: Path) -> Part:
    """Tell a parsed document where it came from."""
    if isinstance(part, Unsupported):
        return msgspec.structs.replace(part, path=str(path))
    place = path.name if path == root else path.relative_to(root).as_posix()
    rule_id = part.id or str(uuid5(RULE_NAMESPACE, f"{place}{part.path}"))
    return msgspec.structs.replace(part, id=rule_id, title=part.title or path.stem, path=str(path))


def _values(files: Iterable[Path]) -> tuple[dict[str, list[str]], list[Unsupported]]:
    """Read the values of placeholders; what is wrong with a file costs only that file."""
    values: dict[str, list[str]] = {}
    bad = []
    for file in files:
        try:
            read = yaml.load(file.read_bytes(), Loader=Loader)  # noqa: S506 - a safe loader
            lists = msgspec.convert(read, dict[str, list[str | int | float]])
        except yaml.YAMLError as error:
            bad.append(_no_yaml(str(file), error))
        except msgspec.ValidationError as error:
            reason = f"expected a mapping of placeholders to lists of values: {error}"
            bad.append(Unsupported(str(file), 1, "", reason))
        else:
            for name, found in lists.items():
                values.setdefault(name, []).extend(map(str, found))
    return values, bad


def _idle(each: Filter, why: str) -> Unsupported:
    """Say of a filter what it does not do."""
    return Unsupported(each.path, 1, each.id, f"filter: {why}")


def _unique(
    parts: Iterable[Part],
) -> tuple[list[Rule], list[Correlation], list[Unsupported]]:
    kept: dict[str, Rule | Correlation] = {}
    unsupported = []
    for part in parts:
        if isinstance(part, Filter):
            continue
        if isinstance(part, Unsupported):
            unsupported.append(part)
        elif part.id in kept:
            reason = f"the id {part.id} is taken by {kept[part.id].path}, loaded before it"
            unsupported.append(Unsupported(part.path, 1, part.id, reason))
        else:
            kept[part.id] = part
    rules = [part for part in kept.values() if isinstance(part, Rule)]
    return rules, [part for part in kept.values() if isinstance(part, Correlation)], unsupported


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
        self.used: dict[str, list[Part]] = {}

    def parse(self, content: bytes) -> list[Part]:
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
_DECODER = msgspec.msgpack.Decoder(dict[str, list[Part]])


def _read(file: Path | None) -> dict[str, list[Part]]:
    try:
        return _DECODER.decode(file.read_bytes()) if file else {}
    except (OSError, msgspec.MsgspecError):
        return {}  # no cache yet, or one that a crash cut short: parse again


def _documents(content: bytes, placeholders: Placeholders) -> Iterator[Part]:
    """Parse the documents of one file; a rule's `path` is its number there, from the second."""
    try:
        for index, line, document in documents(content):
            stated = document.get("id", "") if isinstance(document, dict) else ""
            try:
                made = _document(document, placeholders)
            except RuleError as error:
                yield Unsupported("", line, str(stated), str(error))
            else:
                yield msgspec.structs.replace(made, path=f"#{index}" if index else "")
    except yaml.YAMLError as error:
        yield _no_yaml("", error)


def _document(document: Any, placeholders: Placeholders) -> Rule | Filter | Correlation:
    """Parse one document of any kind."""
    if isinstance(document, dict) and "correlation" in document:
        return parse_correlation(document)
    return parse_document(document, placeholders)


def _no_yaml(path: str, error: yaml.YAMLError) -> Unsupported:
    """Say where a file is not YAML."""
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    return Unsupported(path, mark.line + 1 if mark else 1, "", f"not valid YAML: {problem}")
