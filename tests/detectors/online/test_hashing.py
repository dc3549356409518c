"""Hashes of columns are the same however often and for whatever rows they are asked."""

from __future__ import annotations

import numpy as np

from detectors.online.hashing import hash_column, hash_texts
from schemas.batch import Strings


def test_each_row_has_the_hash_of_its_own_string() -> None:
    values = ["", "alice", "bruno"]
    column = Strings(values, np.array([1, 0, 2, 1], np.int32))
    other = Strings(values, np.array([2, 2, 2, 2], np.int32))
    rows = np.arange(4)
    alice, bruno = hash_texts(["alice", "bruno"]).tolist()
    for _ in range(2):
        assert hash_column(column, rows).tolist() == [alice, 0, bruno, alice]
        assert hash_column(column, rows[1:3]).tolist() == [0, bruno]
        assert hash_column(other, rows).tolist() == [bruno] * 4


def test_many_columns_push_each_other_out_and_stay_right() -> None:
    rows = np.arange(2)
    for number in range(100):
        names = [f"user-{number}", f"user-{number + 1}"]
        column = Strings(names, np.array([0, 1], np.int32))
        assert (hash_column(column, rows) == hash_texts(names)).all()
