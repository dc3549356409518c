"""Matching per event with 3,000 rules, beside the same with 60."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import msgspec

import connectors
from bench._with.context import Context
from bench._with.events import batches
from bench.measure import Meter, Row
from connectors.base import Connector
from detectors.sigma import LogSource, Rule, RuleSet
from sentinel.registry import discover
from streams.worker import own_rules

FEW, MANY = 60, 3000
BATCH = 5000
EVENTS = 20_000
_CLOUDTRAIL = LogSource(product="aws", service="cloudtrail")


def run(context: Context) -> Iterator[Row]:
    """Measure 60 rules of the source, 3,000 of all sources, and 3,000 all of the source."""
    loaded = RuleSet.load([own_rules(), *context.rules]).rules
    raws = context.sample.raws[:EVENTS]
    fitting = [rule for rule in loaded if RuleSet([rule]).select([_CLOUDTRAIL]).rules]
    sets = {
        "rules_60": _exactly(fitting, FEW),
        "rules_3000": _exactly([*fitting, *(r for r in loaded if r not in fitting)], MANY),
    }
    sets["rules_3000_one_source"] = [
        msgspec.structs.replace(rule, logsource=_CLOUDTRAIL) for rule in sets["rules_3000"]
    ]
    first: dict[str, float] = {}
    for name, rules in sets.items():
        row = _measure(name, rules, raws)
        for kind in ("x_match", "x_orjson"):
            first.setdefault(kind, row[kind])
            row[f"{kind}_to_60"] = round(row[kind] / first[kind], 2)
        yield row


def _exactly(rules: Sequence[Rule], count: int) -> list[Rule]:
    """Return `count` rules: the first, again under other ids where there are too few."""
    repeated = enumerate(islice(cycle(rules), count))
    return [
        rule if place < len(rules) else msgspec.structs.replace(rule, id=f"{rule.id}-{place}")
        for place, rule in repeated
    ]


def _measure(name: str, rules: Sequence[Rule], raws: list[bytes]) -> Row:
    """Decode, summarise and match: what of normalize depends on the rules."""
    connector = discover(connectors, Connector)["cloudtrail"]()  # type: ignore[type-abstract]
    chosen = RuleSet(rules).select(connector.logsources)
    decoder = connector.decoder(frozenset[str]().union(*(rule.fields for rule in chosen.rules)))
    matcher = chosen.reading(decoder)
    meter, matches = Meter(), 0
    gc.collect()
    gc.freeze()
    for warm in (True, False):
        meter.begin()
        for part in batches(raws, BATCH):
            meter.yardstick(part)
            with meter.step("decode"):
                decoded = connector.decode_all(decoder, part)
            with meter.step("match"):
                found = matcher.match(decoded)
            meter.yardstick(part)
            meter.note(len(part))
            matches += 0 if warm else len(found)
    gc.unfreeze()
    return meter.row(name, rules=len(rules), matched_rules=len(chosen.rules), matches=matches)
