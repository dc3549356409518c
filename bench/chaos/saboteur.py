"""``sentinel``, but one rule and one model raise: ``python -m bench.chaos.saboteur RULE worker …``.

The rule raises on every event that it is asked about; the model on one event in 16, chosen
by the event's id, so that the oracle can raise on the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from detectors.match import Matcher
from detectors.models.isolation_forest import IsolationForest
from schemas.batch import EventBatch
from sentinel.cli import main

EVERY = 16
#: Which of them; not 0, the id of the empty event with which kernels are compiled.
CHOSEN = 7


def break_rule(rule: str) -> None:
    """Let the rule with the id `rule` raise, in this process, from now on."""
    whole: Callable[[Matcher, int], Any] = Matcher._compile

    def raising(event: Any) -> bool:
        raise ZeroDivisionError(f"the rule {rule} was sabotaged")

    def compiled(matcher: Matcher, ordinal: int) -> Any:
        if matcher.rules[ordinal].id != rule:
            return whole(matcher, ordinal)
        pair = matcher._compiled[ordinal] = (raising, raising)
        return pair

    setattr(Matcher, "_compile", compiled)  # noqa: B010 - mypy takes a method for constant


@contextmanager
def broken_model() -> Iterator[None]:
    """Let the isolation forest raise on one event in `EVERY`, while inside."""
    whole = IsolationForest.score_learn

    def score_learn(model: IsolationForest, batch: EventBatch, rows: Any) -> Any:
        if (batch.uid[rows, 0] % EVERY == CHOSEN).any():
            raise ZeroDivisionError("the model was sabotaged")
        return whole(model, batch, rows)

    with patch.object(IsolationForest, "score_learn", score_learn):
        yield


if __name__ == "__main__":
    break_rule(sys.argv.pop(1))
    with broken_model():
        main()
