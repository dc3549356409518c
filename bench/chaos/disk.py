"""Small disks that can be filled: an ext4 in a file, mounted, which takes root's rights."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 8 << 30
"""Bytes a disk pretends to have: the file is sparse."""
_PIECES = (256 << 20, 1 << 20, 4096)


class Disk:
    """A disk of its own at `folder`, made in the file `image`.

    Raises
    ------
    OSError
        It cannot be made or mounted.
    """

    def __init__(self, folder: Path, image: Path, size: int = SIZE) -> None:
        self.folder, self._image = folder, image
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with image.open("wb") as file:
            file.truncate(size)
        _call("mkfs.ext4", "-q", "-m", "0", str(image))
        _call("mount", "-o", "loop", str(image), str(folder))

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no byte free, while inside."""
        balloon = self.folder / "balloon"
        try:
            with balloon.open("wb") as file:
                for piece in _PIECES:
                    _grow(file.fileno(), piece)
            yield
        finally:
            balloon.unlink()

    def remove(self) -> None:
        """Unmount it, even if something still holds it; its data are gone."""
        _call("umount", "--lazy", str(self.folder))
        self._image.unlink()


def _grow(descriptor: int, piece: int) -> None:
    """Make a file longer by pieces until there is no room for another."""
    while True:
        try:
            os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
