"""Matching per event with 3,000 rules, beside the same with 60; and of made-up events.

Made-up events are what someone sends who wants to slow matching down: no value comes twice,
and some are long runs of one letter, which is what regular expressions backtrack on. Hostile
rules are made of patterns that do; `rate_kept` is the rate beside that of usual events and the
usual rules, and is to be at least 0.4, `p999_ms` of a batch of 1,000 at most 50.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from time import thread_time
from typing import Any

import msgspec
import orjson

import connectors
from bench._with.context import Context
from bench._with.events import SEED, batches
from bench.measure import Meter, Row, percentile
from connectors.base import Connector
from detectors.engine.parse import parse_document
from detectors.sigma import LogSource, Rule, RuleSet
from sentinel.registry import discover
from streams.policy.rule_sets import own_rules

FEW, MANY = 60, 3000
BATCH = 5000
ADVERSARY = 1000
EVENTS = 20_000
#: Patterns of ``userAgent`` that backtracking engines take exponential or quadratic time for.
HOSTILE = (
    r"^(a+)+$",
    r"^(a|aa)+$",
    r"^(a*)*b$",
    r"(.*a){12}$",
    r"^(([a-z])+.)+[A-Z]$",
    r"^(.*,)*\d+$",
    r"(\w+\s?)+:$",
    r"^(?:a?){30}a{30}$",
)
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
    chance = random.Random(SEED)
    made_up, more = list(_made_up(raws, chance)), list(_made_up(raws, chance))
    for name in ("rules_60", "rules_3000"):
        usual = _measure(name, sets[name], raws, ADVERSARY)
        row = _measure(f"{name}_made_up_events", sets[name], made_up, ADVERSARY, more)
        row["rate_kept"] = round(usual["x_orjson"] / row["x_orjson"], 2)
        yield row
    hostile = [*sets["rules_60"][: FEW - len(HOSTILE)], *_hostile()]
    usual = _measure("rules_60", sets["rules_60"], raws, ADVERSARY)
    row = _measure("rules_60_hostile", hostile, made_up, ADVERSARY, more)
    yield row | {"rate_kept": round(usual["x_orjson"] / row["x_orjson"], 2)}


def _hostile() -> Iterator[Rule]:
    """Yield rules whose patterns take exponential or quadratic time where one backtracks."""
    for number, pattern in enumerate(HOSTILE):
        document = {
            "title": pattern,
            "id": f"hostile-{number}",
            "logsource": {"product": "aws", "service": "cloudtrail"},
            "detection": {"selection": {"userAgent|re": pattern}, "condition": "selection"},
        }
        parsed = parse_document(document, {})
        if not isinstance(parsed, Rule):
            raise TypeError(f"expected a rule, found {type(parsed).__name__}")
        yield parsed


def _made_up(raws: Sequence[bytes], chance: random.Random) -> Iterator[bytes]:
    """Yield the events with another value in every text but the time."""
    for number, raw in enumerate(raws):
        event = orjson.loads(raw)
        time = event["eventTime"]
        event = _other(event, chance) | {"eventTime": time}
        if number % 10 == 0:
            event["userAgent"] = "a" * 500 + f"!{chance.getrandbits(48):x}"
        yield orjson.dumps(event)


def _other(value: Any, chance: random.Random) -> Any:
    """Return a JSON value with something appended to each of its texts."""
    if isinstance(value, dict):
        return {key: _other(item, chance) for key, item in value.items()}
    if isinstance(value, list):
        return [_other(item, chance) for item in value]
    return f"{value}{chance.getrandbits(48):x}" if isinstance(value, str) else value


def _exactly(rules: Sequence[Rule], count: int) -> list[Rule]:
    """Return `count` rules: the first, again under other ids where there are too few."""
    repeated = enumerate(islice(cycle(rules), count))
    return [
        rule if place < len(rules) else msgspec.structs.replace(rule, id=f"{rule.id}-{place}")
        for place, rule in repeated
    ]


def _measure(
    name: str,
    rules: Sequence[Rule],
    raws: list[bytes],
    size: int = BATCH,
    more: list[bytes] | None = None,
) -> Row:
    """Decode and match: what of normalize depends on the rules. Times are of batches, in ms.

    The events are gone through twice, the second time `more` in their stead, and measured then.
    """
    connector = discover(connectors, Connector)["cloudtrail"]()  # type: ignore[type-abstract]
    chosen = RuleSet(rules).select(connector.logsources)
    decoder = connector.decoder(frozenset[str]().union(*(rule.fields for rule in chosen.rules)))
    matcher = chosen.reading(decoder)
    meter, matches, times = Meter(), 0, list[float]()
    gc.collect()
    gc.freeze()
    for warm in (True, False):
        meter.begin()
        for part in batches(raws if warm or more is None else more, size):
            meter.yardstick(part)
            started = thread_time()
            with meter.step("decode"):
                decoded = connector.decode_all(decoder, part)
            with meter.step("match"):
                found = matcher.match(decoded)
            times.append(1000 * (thread_time() - started))
            meter.yardstick(part)
            meter.note(len(part))
            matches += 0 if warm else len(found)
    gc.unfreeze()
    return meter.row(
        name,
        rules=len(rules),
        matched_rules=len(chosen.rules),
        matches=matches,
        batch=size,
        p999_ms=round(percentile(times[len(times) // 2 :], 99.9), 1),
    )
