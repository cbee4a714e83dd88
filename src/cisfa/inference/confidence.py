"""How sure a segmenter is of each organ, gathered while it predicts, from its own probabilities alone."""

import numpy as np
from numpy.typing import NDArray


class ConfidenceGathering:
    """Takes probabilities batch by batch and keeps sums alone."""

    def __init__(self, classes: int) -> None:
        """Args: number of classes, background included."""
        self._winning, self._pixels = np.zeros((2, classes))

    def add(self, probabilities: NDArray[np.float32], classes: NDArray[np.unsignedinteger]) -> None:
        """Take some slices.

        Args:
            probabilities: (slices, classes, rows, columns), sums of 1.
            classes: The likeliest, (slices, rows, columns).
        """
        winning, count = probabilities.max(axis=1), len(self._pixels)
        self._winning += np.bincount(classes.ravel(), weights=winning.ravel(), minlength=count)
        self._pixels += np.bincount(classes.ravel(), minlength=count)

    def of_class(self, index: int) -> float | None:
        """The mean of the winning probability over a class's pixels, from 0 to 1; None where it was not found."""
        return float(self._winning[index] / self._pixels[index]) if self._pixels[index] else None
