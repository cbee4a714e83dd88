"""What is painted of a long curve: at most a thousand points, followed while the curve grows."""

import math
from collections.abc import Sequence

from CISFATrainingLib.plot_scale import require_weight

MOST_POINTS = 1000


class ThinCurve:
    """The lowest and the highest value of every few steps, and the moving average there.

    Nothing is computed twice while a curve only grows, since that happens every second.

    Attributes:
        values: Those of the curve, all of them.
        weight: Of what came before in the average, from 0 (the values themselves) to below 1.
        missing: How many values are no finite numbers.
        last: The index of the last finite value; None when there is none.
    """

    def __init__(self, values: Sequence[float], weight: float) -> None:
        """Args: the curve's values, which may grow; the average's weight.

        Raises:
            ValueError: The weight is none.
        """
        require_weight(weight)
        self.values, self.weight = values, weight
        self.missing = 0
        self.last: int | None = None
        self._smooth: list[float] = []
        self._average, self._remainder = 0.0, 1.0
        self._width, self._whole = 1, 0
        self._kept: list[int] = []
        self.update()

    def update(self) -> None:
        """Take in what was appended since the last call."""
        self._smooth_new()
        width = self._width
        while 2 * math.ceil(len(self.values) / width) > MOST_POINTS and (width > 1 or len(self.values) > MOST_POINTS):
            width *= 2
        if width != self._width:
            self._width, self._whole, self._kept = width, 0, []
        while (self._whole + 1) * width <= len(self.values):
            self._kept += self._ends_between(self._whole * width, (self._whole + 1) * width)
            self._whole += 1

    @property
    def indices(self) -> list[int]:
        """Of the values that stay, ascending."""
        begun = self._whole * self._width
        found = self._kept + (self._ends_between(begun, len(self.values)) if begun < len(self.values) else [])
        return found if self.last is None or found[-1] >= self.last else [*found, self.last]

    def smoothed(self, indices: Sequence[int]) -> list[float]:
        """The average at some places; where the value is no finite number, that value."""
        values = self._smooth if self.weight else self.values
        return [values[index] for index in indices]

    @property
    def last_average(self) -> float:
        """The average at the last finite value; NaN when there is none."""
        return math.nan if self.last is None else self.smoothed([self.last])[0]

    def _smooth_new(self) -> None:
        """Go on with the average of :func:`~CISFATrainingLib.plot_scale.smoothed`."""
        weight, average, remainder = self.weight, self._average, self._remainder
        for index in range(len(self._smooth), len(self.values)):
            value = self.values[index]
            if math.isfinite(value):
                average = weight * average + (1 - weight) * value
                remainder *= weight
                self._smooth.append(average / (1 - remainder))
                self.last = index
            else:
                self._smooth.append(value)
                self.missing += 1
        self._average, self._remainder = average, remainder

    def _ends_between(self, first: int, end: int) -> list[int]:
        """Indices of the lowest and the highest value; of any when none is a finite number, for the gap."""
        if end == first + 1:
            return [first]
        part = self.values[first:end]
        if self.missing:
            finite = [value for value in part if math.isfinite(value)]
            if not finite:
                return [first]
            low, high = min(finite), max(finite)
        else:
            low, high = min(part), max(part)
        return sorted({first + part.index(low), first + part.index(high)})


class ThinCurves:
    """The thin curves of one picture, kept from one painting to the next."""

    def __init__(self) -> None:
        """Know none yet."""
        self._known: list[ThinCurve] = []

    def of(self, columns: Sequence[Sequence[float]], weight: float) -> list[ThinCurve]:
        """A thin curve for each column of values, with what was computed for the same ones before."""
        known = {id(thin.values): thin for thin in self._known if thin.weight == weight}
        found = []
        for values in columns:
            thin = known.get(id(values))
            if thin is None:
                thin = ThinCurve(values, weight)
            else:
                thin.update()
            found.append(thin)
        self._known = found
        return found
