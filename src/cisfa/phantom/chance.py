"""Random numbers for one patient; how far they stray from the mean is the severity's doing."""

from collections.abc import Sequence

import numpy as np

Vector = tuple[float, float, float]

# beyond this a normal number gives a body that no patient has
_FARTHEST_SD = 2.0


class Chance:
    """Draws a patient's measures.

    The numbers drawn do not depend on ``spread``, which only scales how far they lie from the mean: the same seed at
    another severity is the same patient, drawn with more or less exaggeration.
    """

    def __init__(self, seed: np.random.SeedSequence, *, spread: float = 1.0) -> None:
        self._random = np.random.default_rng(seed)
        self._spread = spread

    def normal(self, mean: float, sd: float) -> float:
        """A number around ``mean``, at most two standard deviations (times the spread) away."""
        strayed = float(np.clip(self._random.standard_normal(), -_FARTHEST_SD, _FARTHEST_SD))
        return mean + self._spread * sd * strayed

    def ratio(self, sd: float) -> float:
        """A factor around 1; ``sd`` is the standard deviation of its logarithm."""
        return float(np.exp(self.normal(0.0, sd)))

    def uniform(self, low: float, high: float) -> float:
        """A number between two bounds, whatever the spread."""
        return float(self._random.uniform(low, high))

    def happens(self, probability: float) -> bool:
        """True with the given probability, whatever the spread."""
        return bool(self._random.random() < probability)

    def count(self, weights: Sequence[float]) -> int:
        """An index of ``weights``, as probable as its weight."""
        return int(self._random.choice(len(weights), p=np.asarray(weights) / np.sum(weights)))

    def near(self, place: Vector, sd_mm: float) -> Vector:
        """A place around another."""
        x, y, z = place
        return self.normal(x, sd_mm), self.normal(y, sd_mm), self.normal(z, sd_mm)

    def direction(self) -> Vector:
        """A unit vector, every direction as probable."""
        x, y, z = self._random.standard_normal(3)
        length = float(np.sqrt(x * x + y * y + z * z))
        return float(x) / length, float(y) / length, float(z) / length
