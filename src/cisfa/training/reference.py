"""What a run saw of its cases, which goes into its bundle so that results can be held against it."""

from collections.abc import Sequence

import numpy as np

from cisfa.imaging.intensity_profile import profile_of
from cisfa.imaging.organs import Organ
from cisfa.imaging.training_reference import LEAST_CASES_OF_A_RANGE, TrainingReference, VolumeRange
from cisfa.training.slice_dataset import DomainSlices


def training_reference(source: DomainSlices, target: DomainSlices, organs: Sequence[Organ]) -> TrainingReference:
    """The volumes of the source's organs, and the intensities of the target; no label of the target is looked at.

    An organ that is whole in a few cases alone gets no volumes: these would be those of single patients.

    Args:
        source: All cases of the annotated domain, those held out included.
        target: All cases of the domain that the run is for; the source's own where there is no other.
        organs: With the label values of the source's label maps.
    """
    volumes_ml = {}
    for organ in organs:
        values = [case[organ.label] for case in source.volumes_ml if organ.label in case]
        if len(values) >= LEAST_CASES_OF_A_RANGE:
            low_ml, median_ml, high_ml = (float(value) for value in np.percentile(values, (10, 50, 90)))
            volumes_ml[organ.name] = VolumeRange(cases=len(values), low_ml=low_ml, median_ml=median_ml, high_ml=high_ml)
    return TrainingReference(
        volumes_ml=volumes_ml, intensity=profile_of(target.quantiles) if target.quantiles else None
    )
