"""What a training saw, in a few numbers that later results are held against: organs' sizes and shapes, and intensities.

Free of numpy, since 3D Slicer's own process reads it with a bundle's manifest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cisfa.errors import ConfigError

QUANTILE_LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
# of fewer the percentiles are little more than single patients' values, which neither judge others nor are to be told
LEAST_CASES_OF_A_RANGE = 5


@dataclass(frozen=True, kw_only=True)
class _OfCases:
    """Percentiles over annotated cases, since one atrophic kidney would make any size usual.

    Attributes:
        cases: In how many the organ lies as a whole: present, and not cut off by the volume's edge.
    """

    cases: int

    def __post_init__(self) -> None:
        _require(self.cases >= 1, "cases", self.cases, "at least 1")

    @property
    def is_of_enough_cases(self) -> bool:
        """False for one of so few cases that nothing is to be judged by it, as bundles of before may hold."""
        return self.cases >= LEAST_CASES_OF_A_RANGE


@dataclass(frozen=True, kw_only=True)
class VolumeRange(_OfCases):
    """How large an organ is in annotated cases.

    Attributes:
        low_ml: 10th percentile over these cases, in mL.
        median_ml: The median, in mL.
        high_ml: 90th percentile, in mL.
    """

    low_ml: float
    median_ml: float
    high_ml: float

    def __post_init__(self) -> None:
        super().__post_init__()
        values = (self.low_ml, self.median_ml, self.high_ml)
        _require(0 < values[0] <= values[1] <= values[2], "volumes_ml", values, "above 0 and not falling")


@dataclass(frozen=True, kw_only=True)
class SolidityRange(_OfCases):
    """How much of its convex hull an organ fills in annotated cases (:mod:`~cisfa.imaging.organ_solidity`).

    Attributes:
        low: 10th percentile over these cases, above 0 to 1.
        median: The median.
        high: 90th percentile.
    """

    low: float
    median: float
    high: float

    def __post_init__(self) -> None:
        super().__post_init__()
        values = (self.low, self.median, self.high)
        _require(0 < values[0] <= values[1] <= values[2] <= 1, "solidity", values, "above 0 to 1 and not falling")


@dataclass(frozen=True, kw_only=True)
class IntensityProfile:
    """How the prepared slices' intensities of a domain's cases are distributed.

    Attributes:
        cases: How many were measured.
        quantiles: Mean over the cases of a case's quantiles at QUANTILE_LEVELS, in standard deviations of its voxels.
        deviations: Standard deviation over the cases of each of them; zeros for a single case.
    """

    cases: int
    quantiles: tuple[float, ...]
    deviations: tuple[float, ...]

    def __post_init__(self) -> None:
        _require(self.cases >= 1, "intensity.cases", self.cases, "at least 1")
        for name, values in (("quantiles", self.quantiles), ("deviations", self.deviations)):
            count = len(QUANTILE_LEVELS)
            _require(len(values) == count, f"intensity.{name}", values, f"{count} numbers")
        _require(min(self.deviations) >= 0, "intensity.deviations", self.deviations, "at least 0")


@dataclass(frozen=True, kw_only=True)
class TrainingReference:
    """What training saw; of all cases together, never of one with its name.

    Attributes:
        volumes_ml: Organ to its volumes in the source's label maps; without organs that are whole in fewer than
            LEAST_CASES_OF_A_RANGE cases.
        solidity: Organ to how much of its convex hull it fills there; of the same organs.
        intensity: Of the target's cases that were learned from; None when not measured.
    """

    volumes_ml: Mapping[str, VolumeRange] = field(default_factory=dict)
    solidity: Mapping[str, SolidityRange] = field(default_factory=dict)
    intensity: IntensityProfile | None = None


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"The field reference.{name} is {value!r}; it must be {expected}.")
