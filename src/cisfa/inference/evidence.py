"""All that is known of one organ of a result without a label to compare it with, gathered from where it is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cisfa.evaluation.organ_measurements import OrganMeasurement
from cisfa.imaging.intensity_profile import intensity_distance
from cisfa.imaging.training_reference import SolidityRange, TrainingReference, VolumeRange
from cisfa.inference.organ_shape import OrganShape
from cisfa.inference.signs import OrganSigns, Signs


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of one organ.

    Attributes:
        measured: How much of it there is, in how many parts.
        signs: How sure and how steady the segmenter is of it.
        shape: How it lies in space; None for an organ that was not found.
        volumes: How large it is in annotated cases; None where the bundle does not say.
        solidity: How much of its convex hull it fills there; likewise.
        intensity_distance: How far the volume's intensities lie from those of training, 1 for one as those; None where
            the bundle does not say.
        uncut: What was measured before all but its largest part was taken away; None where nothing was.
        in_roi: True where only a region of interest was segmented, so that nothing is compared with training.
    """

    measured: OrganMeasurement
    signs: OrganSigns
    shape: OrganShape | None
    volumes: VolumeRange | None = None
    solidity: SolidityRange | None = None
    intensity_distance: float | None = None
    uncut: OrganMeasurement | None = None
    in_roi: bool = False

    @property
    def parts(self) -> OrganMeasurement:
        """What the segmenter found, in as many parts as it found."""
        return self.uncut or self.measured

    @property
    def usual_volumes(self) -> VolumeRange | None:
        """How large it is in annotated cases, where these are enough to tell what is usual."""
        return self.volumes if self.volumes is not None and self.volumes.is_of_enough_cases else None

    @property
    def usual_solidity(self) -> SolidityRange | None:
        """How much of its convex hull it fills in annotated cases, where these are enough to tell what is usual."""
        return self.solidity if self.solidity is not None and self.solidity.is_of_enough_cases else None

    @property
    def part_of_solidity(self) -> float | None:
        """Its solidity over training's 10th percentile: below 1 it is more ragged than most; None where unknown."""
        usual = self.usual_solidity
        if usual is None or self.shape is None or self.shape.solidity is None:
            return None
        return self.shape.solidity / usual.low

    @property
    def times_outside(self) -> float | None:
        """How many times larger or smaller than most organs of training (10th to 90th percentile); 1 for one of them.

        An organ that the volume's edge cuts off is never too small, since more of it may lie outside. None where it is
        not known.
        """
        volume_ml, usual = self.measured.volume_ml, self.usual_volumes
        if usual is None or volume_ml == 0:
            return None
        times_smaller = 1.0 if self.measured.touches_edge else usual.low_ml / volume_ml
        return max(1.0, volume_ml / usual.high_ml, times_smaller)


def gather_evidence(
    measurements: Sequence[OrganMeasurement],
    signs: Signs,
    shapes: Mapping[str, OrganShape],
    reference: TrainingReference | None,
    *,
    uncut: Sequence[OrganMeasurement] = (),
    in_roi: bool = False,
) -> tuple[Evidence, ...]:
    """What is known of each organ.

    Args:
        measurements: Of every organ of the bundle, in its order.
        signs: Of the same organs.
        shapes: Of those that were found, by name.
        reference: Of the bundle; None where it has none.
        uncut: Like measurements, before all but the largest parts were taken away; empty where nothing was.
        in_roi: True where only a region of interest was segmented: what training saw of whole volumes is left out.
    """
    if in_roi:
        reference = None
    distance = None
    if reference is not None and reference.intensity is not None:
        distance = intensity_distance(signs.intensity_quantiles, reference.intensity)
    return tuple(
        Evidence(
            measured=measured,
            signs=of_organ,
            shape=shapes.get(measured.organ.name),
            volumes=reference.volumes_ml.get(measured.organ.name) if reference else None,
            solidity=reference.solidity.get(measured.organ.name) if reference else None,
            intensity_distance=distance,
            uncut=before,
            in_roi=in_roi,
        )
        for measured, of_organ, before in zip(
            measurements, signs.organs, uncut or (None,) * len(measurements), strict=True
        )
    )
