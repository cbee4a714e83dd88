"""How intensities are distributed: in a case, in a domain, and how far apart the two are."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.imaging.training_reference import QUANTILE_LEVELS, IntensityProfile

# every n-th row and column: a hundredth of the voxels tells quantiles as well
_STRIDE = 3
# standard deviations; the spread among a few cases of one scanner may be smaller than any difference that matters
_LEAST_SPREAD = 0.05


def intensity_quantiles(slices: NDArray[Any]) -> tuple[float, ...]:
    """Quantiles at QUANTILE_LEVELS of one case's prepared slices.

    Args:
        slices: (slices, rows, columns), zero mean and unit variance, as
            :class:`~cisfa.imaging.preprocessing.Preprocessing` makes them.
    """
    thinned = slices[:, ::_STRIDE, ::_STRIDE].astype(np.float32)
    return tuple(float(value) for value in np.quantile(thinned, QUANTILE_LEVELS))


def profile_of(quantiles: Sequence[Sequence[float]]) -> IntensityProfile:
    """The profile of a domain from the quantiles of each of its cases, at least one."""
    values = np.array(quantiles, dtype=np.float64)
    return IntensityProfile(
        cases=len(values),
        quantiles=tuple(values.mean(axis=0).tolist()),
        deviations=tuple(values.std(axis=0, ddof=min(1, len(values) - 1)).tolist()),
    )


def intensity_distance(quantiles: Sequence[float], profile: IntensityProfile) -> float:
    """How far a case's intensities lie from those of training, in units of the spread among the training's cases.

    The mean distance of the quantiles, which is the first Wasserstein distance of the two distributions with a sum in
    place of its integral, divided by the root mean square of the standard deviations of the quantiles over the cases.

    Args:
        quantiles: Of :func:`intensity_quantiles`.
        profile: Of the training.

    Returns:
        About 1 for a case as those of training.
    """
    apart = sum(abs(one - other) for one, other in zip(quantiles, profile.quantiles, strict=True)) / len(quantiles)
    spread = math.sqrt(sum(value * value for value in profile.deviations) / len(profile.deviations))
    return apart / max(spread, _LEAST_SPREAD)
