"""All that is known of one organ of a result without a label to compare it with, gathered from where it is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cisfa.evaluation.organ_measurements import OrganMeasurement
from cisfa.imaging.intensity_profile import intensity_distance
from cisfa.imaging.training_reference import TrainingReference, VolumeRange
from cisfa.inference.organ_shape import OrganShape
from cisfa.inference.signs import OrganSigns, Signs


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of one organ.

    Attributes:
        measured: How much of it there is, in how many parts.
        uncut: The same before all but its largest part was taken away; None where nothing was.
        signs: How sure and how steady the segmenter is of it.
        shape: How it lies in space; None for an organ that was not found.
        volumes: How large it is in annotated cases; None where the bundle does not say.
        intensity_distance: How far the volume's intensities lie from those of training, 1 for one as those; None where
            the bundle does not say.
    """

    measured: OrganMeasurement
    signs: OrganSigns
    shape: OrganShape | None
    volumes: VolumeRange | None = None
    intensity_distance: float | None = None
    uncut: OrganMeasurement | None = None

    @property
    def parts(self) -> OrganMeasurement:
        """What the segmenter found, in as many parts as it found."""
        return self.uncut or self.measured

    @property
    def times_outside(self) -> float | None:
        """How many times larger or smaller than most organs of training (10th to 90th percentile); 1 for one of them.

        None where that is not known.
        """
        volume_ml = self.measured.volume_ml
        if self.volumes is None or volume_ml == 0:
            return None
        return max(1.0, volume_ml / self.volumes.high_ml, self.volumes.low_ml / volume_ml)


def gather_evidence(
    measurements: Sequence[OrganMeasurement],
    signs: Signs,
    shapes: Mapping[str, OrganShape],
    reference: TrainingReference | None,
    *,
    uncut: Sequence[OrganMeasurement] = (),
) -> tuple[Evidence, ...]:
    """What is known of each organ.

    Args:
        measurements: Of every organ of the bundle, in its order.
        signs: Of the same organs.
        shapes: Of those that were found, by name.
        reference: Of the bundle; None where it has none.
        uncut: Like measurements, before all but the largest parts were taken away; empty where nothing was.
    """
    distance = None
    if reference is not None and reference.intensity is not None:
        distance = intensity_distance(signs.intensity_quantiles, reference.intensity)
    return tuple(
        Evidence(
            measured=measured,
            signs=of_organ,
            shape=shapes.get(measured.organ.name),
            volumes=reference.volumes_ml.get(measured.organ.name) if reference else None,
            intensity_distance=distance,
            uncut=before,
        )
        for measured, of_organ, before in zip(
            measurements, signs.organs, uncut or (None,) * len(measurements), strict=True
        )
    )
