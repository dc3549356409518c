"""States that the online models learnt from history, for partitions that have none.

``<home>/seeds/<partitions>-<partition>.bin`` is a snapshot of `detectors.detect.Detector` that
was fed the stored events of that partition. A task starts from it; a checkpoint, where there is
one, replaces it. Because it is the same code over the same events in the same order, a seeded
state equals a streamed one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from detectors.detect import Detector
from detectors.scoring.choose import chosen
from schemas.batch import EventBatch
from sentinel.settings import Settings


def path_of(folder: Path, partitions: int, partition: int) -> Path:
    """Return the file of a partition's seed."""
    return folder / f"{partitions}-{partition}.bin"


def seeded(
    folder: Path,
    batches: Iterable[tuple[int, EventBatch]],
    partitions: int,
    settings: Settings,
) -> Counter[int]:
    """Feed detectors and write their states; return events by partition."""
    folder.mkdir(parents=True, exist_ok=True)
    detectors: dict[int, Detector] = {}
    counts: Counter[int] = Counter()
    for offset, (partition, batch) in enumerate(batches):
        detector = detectors.get(partition)
        if detector is None:
            detector = Detector(
                chosen(settings.models, settings.intel), 1.0, together=True, budget=0.0
            )
            detectors[partition] = detector
        counts[partition] += len(batch)
        detector.process(batch, offset)
    for partition, detector in detectors.items():
        target = path_of(folder, partitions, partition)
        new = target.with_suffix(".new")
        new.write_bytes(detector.snapshot())
        new.replace(target)
    return counts
