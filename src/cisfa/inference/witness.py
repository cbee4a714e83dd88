"""Watches a volume being segmented, and has the segmenter answer again for slices that were changed a little."""

import time

import numpy as np
from numpy.typing import NDArray

from cisfa.events import Progress, Report
from cisfa.imaging.intensity_profile import intensity_quantiles
from cisfa.imaging.volume import LabelMap
from cisfa.inference.agreement import RunsSlices, measure_agreement
from cisfa.inference.confidence import ConfidenceGathering
from cisfa.inference.signs import OrganSigns, Signs

_STAGE = "judging"


class Witness:
    """Sees the slices of one volume and what is predicted from them; keeps a byte a pixel beside the slices.

    Attributes:
        uncut: The label map before all but the largest part of each organ was taken away; None where nothing was.
    """

    def __init__(self, slices: NDArray[np.float32], classes: int) -> None:
        """Args: prepared slices, (slices, rows, columns); number of classes, background included."""
        self._slices, self._count = slices, classes
        self._classes: NDArray[np.uint16] = np.zeros(slices.shape, dtype=np.uint16 if classes > 256 else np.uint8)
        self._confidence = ConfidenceGathering(classes)
        self.uncut: LabelMap | None = None

    def see(self, first: int, probabilities: NDArray[np.float32]) -> None:
        """Take the probabilities (slices, classes, rows, columns) of consecutive slices, from the first one on."""
        classes = self._classes[first : first + len(probabilities)]
        classes[:] = probabilities.argmax(axis=1)
        self._confidence.add(probabilities, classes)

    def signs(self, runner: RunsSlices, report: Report) -> Signs:
        """What the whole volume tells.

        Args:
            runner: Runs the segmenter on changed slices.
            report: Hears progress.

        Raises:
            DeviceError: Memory runs out everywhere.
        """
        started = time.monotonic()
        report(Progress(_STAGE, 0.0))

        def tell(fraction: float) -> None:
            passed = time.monotonic() - started
            report(Progress(_STAGE, fraction, passed / fraction * (1 - fraction)))

        agreement = measure_agreement(runner, self._slices, self._classes, count=self._count, on_progress=tell)
        if not self._classes.any():
            report(Progress(_STAGE, 1.0))
        return Signs(
            organs=tuple(
                OrganSigns(agreement=float(agreement[index]), confidence=self._confidence.of_class(index))
                for index in range(1, self._count)
            ),
            intensity_quantiles=intensity_quantiles(self._slices),
        )
