"""What a run saw of its cases, which goes into its bundle so that results can be held against it."""

from collections.abc import Mapping, Sequence

import numpy as np

from cisfa.imaging.intensity_profile import profile_of
from cisfa.imaging.organs import Organ
from cisfa.imaging.training_reference import (
    LEAST_CASES_OF_A_RANGE,
    SolidityRange,
    TrainingReference,
    VolumeRange,
)
from cisfa.training.slice_dataset import DomainSlices


def training_reference(source: DomainSlices, target: DomainSlices, organs: Sequence[Organ]) -> TrainingReference:
    """The volumes and shapes of the source's organs, and the intensities of the target, of which no label is looked at.

    An organ that is whole in a few cases alone gets neither: these would be those of single patients.

    Args:
        source: All cases of the annotated domain, those held out included.
        target: All cases of the domain that the run is for; the source's own where there is no other.
        organs: With the label values of the source's label maps.
    """
    volumes_ml, solidity = {}, {}
    for organ in organs:
        values = _of_label(source.volumes_ml, organ.label)
        if len(values) >= LEAST_CASES_OF_A_RANGE:
            low, median, high = _percentiles(values)
            volumes_ml[organ.name] = VolumeRange(cases=len(values), low_ml=low, median_ml=median, high_ml=high)
        values = _of_label(source.solidity, organ.label)
        if len(values) >= LEAST_CASES_OF_A_RANGE:
            low, median, high = _percentiles(values)
            solidity[organ.name] = SolidityRange(cases=len(values), low=low, median=median, high=high)
    intensity = profile_of(target.quantiles) if target.quantiles else None
    return TrainingReference(volumes_ml=volumes_ml, solidity=solidity, intensity=intensity)


def _of_label(cases: Sequence[Mapping[int, float]], label: int) -> list[float]:
    return [case[label] for case in cases if label in case]


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, median, high = (float(value) for value in np.percentile(values, (10, 50, 90)))
    return low, median, high
