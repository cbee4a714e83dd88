"""What a segmenter tells of its own prediction, without a label to compare it with; free of torch."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class OrganSigns:
    """What the segmenter tells of one organ.

    Attributes:
        agreement: The Dice between the prediction and that from slices that were changed a little, 0 to 1.
        confidence: The mean of the winning probability inside the organ, 0 to 1; None where it was not found.
    """

    agreement: float
    confidence: float | None


@dataclass(frozen=True, kw_only=True)
class Signs:
    """What the segmenter and the slices tell of one volume.

    Attributes:
        organs: Of each organ of the bundle, in its order.
        intensity_quantiles: Of the prepared slices (:func:`~cisfa.imaging.intensity_profile.intensity_quantiles`).
    """

    organs: tuple[OrganSigns, ...]
    intensity_quantiles: tuple[float, ...]
