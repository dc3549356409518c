"""Sixteen channels at a time are what numpy says they are."""

from __future__ import annotations

import numpy as np

from bci.engine import kernel
from bci.engine.kernel import LANES


@kernel.exact
def _all(values, limits, counts, out):
    one, most = kernel.load(values, 0), kernel.load(limits, 0)
    kernel.store(out, 0, one * most - kernel.load(values, LANES))
    kernel.store(out, LANES, kernel.within(one, most))
    kernel.store(out, 2 * LANES, kernel.convert(counts, 3) + kernel.size(one))
    kernel.store(out, 3 * LANES, kernel.every(kernel.total(one)))
    smaller = kernel.below(one, most)
    return smaller, kernel.at_most(one, one), kernel.ones(smaller), kernel.first_one(smaller)


def test_values_of_sixteen_are_worked_on_like_arrays():
    random = np.random.default_rng(5)
    values = random.normal(0, 2, 2 * LANES).astype(np.float32)
    limits = np.abs(random.normal(0, 1, LANES)).astype(np.float32)
    counts = random.integers(-(1 << 15), 1 << 15, 2 * LANES).astype(np.int16)
    out = np.zeros(4 * LANES, np.float32)
    smaller, equal, count, first = _all(values, limits, counts, out)
    one, found = values[:LANES], out.reshape(4, LANES)
    np.testing.assert_allclose(found[0], one * limits - values[LANES:], rtol=1e-5, atol=1e-6)
    assert (found[1] == np.clip(one, -limits, limits)).all()
    assert (found[2] == counts[3 : 3 + LANES] + np.abs(one)).all()
    np.testing.assert_allclose(found[3], one.sum(), rtol=1e-5)
    bits = np.flatnonzero(one < limits)
    assert (smaller, equal) == (sum(1 << int(bit) for bit in bits), (1 << LANES) - 1)
    assert (count, first) == (len(bits), bits[0])
