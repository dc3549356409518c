"""The connector that a mapping makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, ClassVar, Final, NamedTuple

from connectors._generic.mapping import ClassRule, Mapped, Take
from connectors._generic.paths import Place, convert, find, put
from connectors._json.connector import JsonConnector
from connectors._json.decoder import View
from connectors._json.envelope import Envelope
from connectors._json.fields import Fields
from connectors._json.times import milliseconds
from connectors.base import OCSF, LogSource, Summary
from schemas.ocsf import OTHER, VERSION, classes, head, status_name, validate
from schemas.typed import walk
from sentinel.errors import MappingError, SettingsError

_UNKNOWN: Final = 0


class Target(NamedTuple):
    """An attribute and where its value comes from."""

    path: str
    place: Place
    take: Take

    def value(self, found: Sequence[Any]) -> Any:
        """Return the value for what is at its fields; None where there is none that fits."""
        for raw in found:
            if raw is None:
                continue
            if self.take.map and not isinstance(raw, dict | list):
                raw = self.take.map.get(_key(raw))
            if self.place.array:
                items = raw if isinstance(raw, list) else [raw]
                made: Any = [convert(item, self.place.attribute) for item in items]
                made = made if any(item is not None for item in made) else None
            else:
                made = convert(raw, self.place.attribute)
            if made is not None:
                return made
        default = self.take.default
        return [default] if self.place.array and default is not None else default


class Chosen(NamedTuple):
    """What is worked out of a class rule once.

    Attributes
    ----------
    needed
        Targets without which the event would not be valid.
    others
        The other targets, in the order of the file.
    when
        Fields and the values of them that make it this class.
    """

    rule: ClassRule
    needed: tuple[Target, ...]
    others: tuple[Target, ...]
    when: tuple[tuple[str, frozenset[str]], ...] = ()


class MappedConnector(JsonConnector):
    """Events of a source that a mapping describes.

    What does not fit its attribute (a name where an address should be) stays in ``unmapped``.
    An event that lacks what its class requires is a dead letter.
    """

    mapping: ClassVar[Mapped]
    chosen: ClassVar[tuple[Chosen, ...]]

    def __init_subclass__(cls) -> None:
        """Make the attributes of a connector out of the mapping; SettingsError as `attributes`."""
        for name, value in attributes(cls.mapping).items():
            setattr(cls, name, value)

    def columns_of(self, event: View) -> Summary:
        """Return the columns; MappingError ``no_class`` or ``missing_field``."""
        mapping = self.mapping
        chosen = self._choose(event.get)
        for target in chosen.needed:
            if target.value([event.get(path) for path in target.take.field]) is None:
                raise MappingError(
                    "missing_field",
                    f"expected {' or '.join(target.take.field)} for {target.path}, which "
                    f"{classes()[chosen.rule.uid]['caption']} requires, found none that fits",
                )
        native_id, when = self.identity_of(event)
        return Summary(
            native_id=native_id,
            time=when,
            class_uid=chosen.rule.uid,
            activity_id=_number(chosen.rule, "activity", chosen.rule.activity, event, OTHER),
            status_id=_number(chosen.rule, "status", mapping.status, event, _UNKNOWN),
            severity_id=_number(chosen.rule, "severity", mapping.severity, event, _UNKNOWN),
            entity=event.text(*mapping.entity),
            operation=event.text(*mapping.operation),
            service=event.text(*mapping.service),
            src_ip=event.text(*mapping.src_ip),
            user_agent=event.text(*mapping.user_agent),
            region=event.text(*mapping.region),
        )

    def identity_of(self, event: View) -> tuple[str | None, int]:
        """Return id and time as the mapping says."""
        return event.text(*self.mapping.id) or None, self._time(event)

    def _choose(self, get: Any) -> Chosen:
        """Return the first class that fits."""
        for chosen in self.chosen:
            if all(_key(get(path)) in known for path, known in chosen.when):
                return chosen
        told = ", ".join(sorted({path for each in self.chosen for path in each.rule.when}))
        raise MappingError("no_class", f"expected a class of the mapping to fit, by {told}")

    def _time(self, event: View) -> int:
        """Return the time, by the format of the mapping where it names one."""
        value = next((v for f in self.mapping.time.field if (v := event.get(f)) is not None), None)
        if self.mapping.time.format and isinstance(value, str):
            value = _parsed(value, self.mapping.time.format)
        return milliseconds(value, " or ".join(self.mapping.time.field))

    def objects(self, fields: Fields, summary: Summary) -> OCSF:
        """Return what the mapping makes of an event, as far as it is valid."""
        chosen = self._choose(lambda path: walk(fields.record, path.split(".")))
        for names in self._framed(chosen.rule):
            next((name for name in names if fields.get(name) is not None), None)
        made: dict[str, Any] = {}
        for target in chosen.needed:
            self._put(made, target, fields)
        whole, kept = deepcopy(made), list[Target]()
        for target in chosen.others:
            if (value := target.value(_found(fields, target))) is not None:
                put(whole, target.place, value)
                kept.append(target)
        if not validate(_frame(chosen.rule.uid, summary) | whole):
            for target in kept:
                _use(fields, target)
            return whole
        for target in kept:  # one of them is wrong: without those that are
            trial = deepcopy(made)
            put(trial, target.place, target.value(_found(fields, target)))
            if not validate(_frame(chosen.rule.uid, summary) | trial):
                made = trial
                _use(fields, target)
        return made

    def _framed(self, rule: ClassRule) -> Iterator[tuple[str, ...]]:
        """Yield the fields that are in the frame of every event; the first there is counts."""
        yield self.mapping.time.field
        yield self.mapping.id
        yield self.mapping.severity.field
        yield self.mapping.status.field
        yield rule.activity.field
        yield from ((name,) for name in rule.when)

    @staticmethod
    def _put(made: OCSF, target: Target, fields: Fields) -> None:
        put(made, target.place, target.value(_found(fields, target)))
        _use(fields, target)


@lru_cache(maxsize=1 << 14)  # strptime costs more than all the rest
def _parsed(value: str, format: str) -> str:
    """Return a time in ISO 8601; UTC where it names no zone."""
    try:
        found = datetime.strptime(value, format)  # noqa: DTZ007
    except ValueError as error:
        raise MappingError("timestamp", f"{error!s:.200}") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def _found(fields: Fields, target: Target) -> list[Any]:
    return [walk(fields.record, path.split(".")) for path in target.take.field]


def _use(fields: Fields, target: Target) -> None:
    """Let the fields of a target count as mapped."""
    for path in target.take.field:
        fields.get(path)


def _key(value: Any) -> str:
    """Return a value as mappings name it."""
    if value.__class__ is str:
        return str(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _number(rule: ClassRule, name: str, take: Take, event: View, otherwise: int) -> int:
    """Return the OCSF number that a take gives, `otherwise` where the class has no such."""
    found: Any = take.default
    for path in take.field:
        value = event.get(path)
        if value is not None:
            found = take.map.get(_key(value), take.default) if take.map else value
            break
    return found if found.__class__ is int and found in _numbers_of(rule.uid, name) else otherwise


@cache
def _numbers_of(class_uid: int, name: str) -> frozenset[int]:
    return frozenset(map(int, _enum(class_uid, name)))


def _enum(class_uid: int, name: str) -> Mapping[str, str]:
    """Return the numbers of activity, severity or status in a class, and their captions."""
    found: Mapping[str, str] = classes()[class_uid]["attributes"][f"{name}_id"]["enum"]
    return found


def _frame(class_uid: int, summary: Summary | None = None) -> OCSF:
    """Return an event without what a mapping adds, to try one with."""
    if summary is None:
        made = head(class_uid, OTHER, time=0, severity_id=1)
        status = _UNKNOWN
    else:
        made = head(class_uid, summary.activity_id, time=summary.time, severity_id=1)
        status = summary.status_id
    return made | {
        "metadata": {"product": {"name": "x", "vendor_name": "x"}, "version": VERSION},
        "status": status_name(class_uid, status),
        "status_id": status,
    }


def attributes(mapping: Mapped) -> dict[str, Any]:
    """Return what a mapping makes of the class attributes of a connector.

    Raises
    ------
    SettingsError
        The mapping gives no valid OCSF; every problem is named.
    """
    wrong: list[str] = []
    chosen = tuple(_chosen(rule, mapping, wrong) for rule in mapping.classes)
    wrong += _numbers(mapping)
    if wrong:
        raise SettingsError("\n".join(wrong))
    every = [t for each in chosen for t in each.needed]
    return {
        "chosen": chosen,
        "product": mapping.product.model_dump(),
        "logsources": tuple(LogSource(*log.model_dump().values()) for log in mapping.logsource),
        "envelope": Envelope(mapping.envelope.lists, mapping.envelope.inner),
        "own": _own(mapping, chosen),
        "looks_into": frozenset(
            {*mapping.columns(), *(path for target in every for path in target.take.field)}
        ),
    }


def _own(mapping: Mapped, chosen: Sequence[Chosen]) -> frozenset[str]:
    """Return the fields that id and time are made of, and nothing else in a summary."""
    others = {*mapping.entity, *mapping.operation, *mapping.service, *mapping.src_ip}
    others |= {*mapping.user_agent, *mapping.region}
    others |= {*mapping.severity.field, *mapping.status.field}
    for each in chosen:
        others |= {*each.rule.when, *each.rule.activity.field}
        others |= {path for target in each.needed for path in target.take.field}
    return frozenset({*mapping.id, *mapping.time.field} - others)


def connector(name: str, mapping: Mapped) -> type[MappedConnector]:
    """Return the class of a source that a mapping describes; errors as `attributes`."""
    return type(name, (MappedConnector,), {"__doc__": mapping.description, "mapping": mapping})


def _chosen(rule: ClassRule, mapping: Mapped, wrong: list[str]) -> Chosen:
    """Work out the targets of a class; add to `wrong` what is."""
    if rule.uid not in classes():
        known = ", ".join(f"{uid} ({spec['caption']})" for uid, spec in sorted(classes().items()))
        wrong.append(f"classes: expected a class of {known}; found {rule.uid}")
        return Chosen(rule, (), ())
    targets: list[Target] = []
    for path, take in {**mapping.map, **rule.map}.items():
        try:
            targets.append(Target(path, find(rule.uid, path), take))
        except ValueError as error:
            if path in rule.map or not _elsewhere(path, rule.uid, mapping):
                wrong.append(f"map: {error}")
    if wrong:
        return Chosen(rule, (), ())
    caption = classes()[rule.uid]["caption"]
    wrong += [f"{caption}: {problem}" for problem in _problems(rule.uid, targets)]
    needed = list(targets)
    for target in reversed(targets):
        fewer = [each for each in needed if each is not target]
        if not _problems(rule.uid, fewer):
            needed = fewer
    others = tuple(target for target in targets if target not in needed)
    when = tuple((path, frozenset(map(_key, values))) for path, values in rule.when.items())
    return Chosen(rule, tuple(needed), others, when)


def _elsewhere(path: str, uid: int, mapping: Mapped) -> bool:
    """Return whether another class of the mapping has an attribute that this one has not."""
    for rule in mapping.classes:
        if rule.uid != uid and rule.uid in classes():
            try:
                find(rule.uid, path)
            except ValueError:
                continue
            return True
    return False


def _problems(class_uid: int, targets: Iterable[Target]) -> list[str]:
    """Return what is wrong with an event that has every one of `targets`."""
    event = _frame(class_uid)
    for target in targets:
        value = target.place.sample()
        if not target.take.field or target.take.default is not None:
            value = target.take.default
        put(event, target.place, [value] if target.place.array else value)
        for mapped in target.take.map.values():
            if convert(mapped, target.place.attribute) is None:
                return [f"{target.path}: {mapped!r} is none of its values"]
    return validate(event)


def _numbers(mapping: Mapped) -> list[str]:
    """Return what is wrong with activities, severities and statuses."""
    wrong: list[str] = []
    for rule in mapping.classes:
        takes: Mapping[str, Take] = {
            "activity": rule.activity,
            "severity": mapping.severity,
            "status": mapping.status,
        }
        for name, take in takes.items() if rule.uid in classes() else ():
            enum, caption = _enum(rule.uid, name), classes()[rule.uid]["caption"]
            given = [*take.map.values(), *([] if take.default is None else [take.default])]
            wrong += [
                f"{name}: expected one of {', '.join(f'{k} ({v})' for k, v in enum.items())} "
                f"in {caption}, found {value!r}"
                for value in given
                if str(value) not in enum
            ]
    return wrong
