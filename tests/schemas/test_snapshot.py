"""Snapshots come back as they were, or are refused with words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from schemas.snapshot import pack, unpack
from sentinel.errors import SchemaError

values = st.dictionaries(
    st.text(max_size=5),
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=20)
    | st.text(max_size=5)
    | st.lists(st.integers(0, 9), max_size=3),
    max_size=5,
)


@given(values)
def test_round_trip(content) -> None:
    assert unpack("thing", 3, pack("thing", 3, content)) == content


@given(
    st.sampled_from(["<u8", "<i4", "<f8", "<f4", "|u1", "<u2"]).flatmap(
        lambda dtype: arrays(np.dtype(dtype), array_shapes(min_dims=1, max_dims=3, min_side=0))
    )
)
def test_arrays_keep_dtype_shape_and_every_bit_and_can_be_written_to(array) -> None:
    found = unpack("thing", 1, pack("thing", 1, {"deep": {"in": array}}))["deep"]["in"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable


@given(st.binary(max_size=60))
def test_any_other_bytes_are_refused(data) -> None:
    with pytest.raises(SchemaError, match="expected a snapshot of thing"):
        unpack("thing", 1, data)


@given(st.data())
def test_a_cut_snapshot_is_refused(data) -> None:
    whole = pack("thing", 1, {"a": np.arange(5), "b": b"xyz"})
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(SchemaError):
        unpack("thing", 1, whole[:cut])


def test_says_which_version_it_found() -> None:
    with pytest.raises(SchemaError, match=r"thing version 2, found \['thing', 1\]"):
        unpack("thing", 2, pack("thing", 1, {}))
