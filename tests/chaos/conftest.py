"""A platform of its own, for these tests break it: `bench.chaos`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.chaos.trial import Trials


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """Yield a platform with two workers, and the oracle that knows what it must store."""
    made = Trials(tmp_path_factory.mktemp("chaos"), seed=1)
    try:
        made.start()
        yield made
    finally:
        made.stop()
