"""Whether a segmenter finds the same organs when a volume's slices are changed a little."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cisfa.inference.slice_changes import SliceChange, changed, moved_back

# rotations, scales and shifts as patients lie, and a little contrast; in turns, slice by slice, so that one more pass
# over the organs' slices tries all of them. Why so little contrast, and no noise: docs/quality.md
CHANGES = (
    SliceChange(degrees=8, factor=1.1, along_columns=0.03, along_rows=0.02, gamma=0.9),
    SliceChange(degrees=-8, factor=0.9, along_columns=-0.02, along_rows=0.03, gamma=1.1),
    SliceChange(degrees=6, factor=0.92, along_columns=0.02, along_rows=-0.03, gamma=1.1),
    SliceChange(degrees=-6, factor=1.08, along_columns=-0.03, along_rows=-0.02, gamma=0.9),
)
# what lies in memory at once beside the volume: changed slices, and what is found in them
_MOST_BYTES = 256 * 2**20

Take = Callable[[int, NDArray[np.float32]], None]


class RunsSlices(Protocol):
    """What runs a segmenter, as :class:`~cisfa.inference.predictor.SliceRunner` does."""

    def run(self, slices: NDArray[np.float32], take: Take) -> None:
        """Segment (slices, rows, columns); ``take`` gets each batch's first index and probabilities."""


def measure_agreement(
    runner: RunsSlices,
    slices: NDArray[np.float32],
    classes: NDArray[np.unsignedinteger],
    *,
    count: int,
    on_progress: Callable[[float], None],
    changes: Sequence[SliceChange] = CHANGES,
) -> NDArray[np.float64]:
    """The Dice of each class between the prediction and that from changed slices, moved back; over the whole volume.

    Only slices in which an organ was found are changed and segmented again, each in one way, in turns; so many together
    as memory is meant for.

    Args:
        runner: Runs the segmenter.
        slices: Prepared, (slices, rows, columns).
        classes: What was predicted from them, likewise.
        count: Number of classes, background included.
        on_progress: Called with the part that is done, from above 0 to 1, after every batch.
        changes: The ways.

    Returns:
        From 0 to 1, (classes,); 1 for a class that neither prediction has.
    """
    at = np.flatnonzero(classes.any(axis=(1, 2)))
    ways = [changes[place % len(changes)] for place in range(len(at))]
    overlap, at_once = _Overlap(count), slices_at_once(slices.shape[1] * slices.shape[2], count)

    def take(first: int, probabilities: NDArray[np.float32]) -> None:
        # all before these were taken; what the runner counts begins anew with every run
        seen = slice(overlap.slices, overlap.slices + len(probabilities))
        theirs, stays = moved_back(torch.from_numpy(probabilities), ways[seen])
        overlap.add(classes[at[seen]], theirs.numpy(), stays.numpy())
        on_progress(overlap.slices / len(at))

    for begin in range(0, len(at), at_once):
        some = slice(begin, begin + at_once)
        runner.run(changed(torch.from_numpy(slices[at[some]])[:, None], ways[some])[:, 0].numpy(), take)
    return overlap.dice()


def slices_at_once(pixels: int, classes: int) -> int:
    """How many slices may be changed and judged together: at least one, however large.

    Args:
        pixels: Of a slice.
        classes: Background included.
    """
    # of each pixel: probabilities, the same moved back; and the slice, changed and not, its grid, its classes
    bytes_of_slice = pixels * np.dtype(np.float32).itemsize * (2 * classes + 8)
    return int(max(1, _MOST_BYTES // bytes_of_slice))


class _Overlap:
    """Pixels that two labellings share, by class, over any number of slices."""

    def __init__(self, count: int) -> None:
        self._count, self.slices = count, 0
        self._shared, self._both = np.zeros((2, count))

    def add(
        self, ours: NDArray[np.unsignedinteger], theirs: NDArray[np.int64], counts_there: NDArray[np.bool_]
    ) -> None:
        one, other = ours[counts_there], theirs[counts_there]
        self._shared += np.bincount(one[one == other], minlength=self._count)
        self._both += np.bincount(one, minlength=self._count) + np.bincount(other, minlength=self._count)
        self.slices += len(ours)

    def dice(self) -> NDArray[np.float64]:
        """Of each class; 1 for one that stands in neither."""
        dice: NDArray[np.float64] = np.where(self._both > 0, 2 * self._shared / np.maximum(self._both, 1), 1.0)
        return dice
