"""Rows of Parquet files, as VPC flow logs may be delivered.

Parquet is read from its end, so a file is spooled to disk first; rows come out in batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import msgspec

MAGIC: Final = b"PAR1"
_IN_MEMORY: Final = 16 << 20
_ABSENT: Final = "-"  # how flow logs write that a field does not apply


def rows(pieces: Iterable[bytes], most: int, *, as_text: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the index of a first row, and the rows from there on, as bytes.

    Parameters
    ----------
    pieces
        The file.
    most
        Rows of a block of text.
    as_text
        Lines of words below a header line; else each row a JSON object.

    Raises
    ------
    ValueError
        The file is no Parquet (`pyarrow.ArrowInvalid` is one).
    """
    from pyarrow.parquet import ParquetFile

    with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        for piece in pieces:
            file.write(piece)
        file.seek(0)
        try:
            index = 0
            for batch in ParquetFile(file).iter_batches(batch_size=most):
                if as_text:
                    yield index, _text(batch)
                else:
                    for at, row in enumerate(batch.to_pylist()):
                        yield index + at, msgspec.json.encode(row, enc_hook=str)
                index += batch.num_rows
        except OSError as error:
            raise ValueError(str(error)) from error


def _text(batch: Any) -> bytes:
    """Return a batch as lines of words below a header, in the spelling of text files."""
    names = [name.replace("_", "-") for name in batch.schema.names]
    columns = [map(_word, column.to_pylist()) for column in batch.columns]
    lines = map(" ".join, zip(*columns, strict=True))
    return "\n".join([" ".join(names), *lines]).encode()


def _word(value: Any) -> str:
    return _ABSENT if value is None or value == "" else str(value).replace(" ", "_")
