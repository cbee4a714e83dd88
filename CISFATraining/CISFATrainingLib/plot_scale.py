"""What a picture of numbers computes before anything is painted: ranges, ticks, pixels, smoothing, box statistics."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NARROWEST = 1e-6  # of the values' own size; what is closer together counts as constant
SMALLEST, LARGEST = 1e-290, 1e290  # what computing with them can stand
WHISKER = 1.5  # interquartile ranges, after Tukey
_GAP = -1

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """The range of an axis, in data units.

    Attributes:
        low: Where the axis begins.
        high: Where it ends; above ``low``.
        is_log: Equal distances are equal factors; ``low`` is positive then.
    """

    low: float
    high: float
    is_log: bool = False

    def fraction(self, value: float) -> float:
        """Where a value lies: 0 at ``low``, 1 at ``high``; on a logarithmic axis the value is positive."""
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> tuple[float, ...]:
        """Round numbers in the range, about ``most`` of them or fewer."""
        return log_ticks(self.low, self.high, most) if self.is_log else nice_ticks(self.low, self.high, most)


@dataclass(frozen=True)
class Axis:
    """A scale laid along pixels.

    Attributes:
        scale: In data units.
        first_px: Where the scale's low end lies; for a y axis this is the larger number.
        last_px: Where its high end lies.
    """

    scale: Scale
    first_px: float
    last_px: float

    def position(self, value: float) -> float:
        """The pixel of a value, not rounded; what lies far beyond the axis stays near it, where one can still paint."""
        fraction = min(max(self.scale.fraction(value), -1.0), 2.0)
        return self.first_px + fraction * (self.last_px - self.first_px)


def scale_over(values: Iterable[Sequence[float]], *, is_log: bool = False, margin: float = 0.05) -> Scale | None:
    """A scale that holds all values but those that it cannot show: not finite, on a logarithmic axis not positive.

    Args:
        values: Of each curve.
        is_log: Whether the axis is logarithmic.
        margin: What stays free at both ends, as a part of the range.

    Returns:
        None when there is nothing to show.
    """
    ends = _ends(values, is_log=is_log)
    if ends is None:
        return None
    low, high = ends
    size = max(abs(low), abs(high))
    if is_log:
        factor = 2.0 if high <= low * (1 + NARROWEST) else (high / low) ** margin
        return Scale(low / factor, high * factor, is_log=True)
    if high - low <= max(NARROWEST * size, SMALLEST):
        rim = 0.1 * size if size > SMALLEST else 1.0
    else:
        rim = margin * (high - low)
    return Scale(low - rim, high + rim)


def step_scale_over(steps: Iterable[Sequence[float]]) -> Scale | None:
    """A scale from the first step to the last without a rim, but at least one step long; None without any."""
    ends = _ends(steps, is_log=False)
    if ends is None:
        return None
    middle = (ends[0] + ends[1]) / 2
    return Scale(min(ends[0], middle - 0.5), max(ends[1], middle + 0.5))


def _ends(values: Iterable[Sequence[float]], *, is_log: bool) -> Point | None:
    """The lowest and the highest value that can be shown and computed with."""
    shown = [list(filter(math.isfinite, each)) for each in values]
    if is_log:
        shown = [[value for value in each if value > 0] for each in shown]
    if not any(shown):
        return None
    low, high = min(min(each) for each in shown if each), max(max(each) for each in shown if each)
    bottom = SMALLEST if is_log else -LARGEST
    return min(max(low, bottom), LARGEST), min(max(high, bottom), LARGEST)


def nice_ticks(low: float, high: float, most: int, *, is_whole: bool = False) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten, from ``low`` to ``high``.

    Args:
        low: Where the axis begins, in data units.
        high: Where it ends, above ``low``.
        most: How many there is room for.
        is_whole: Only whole numbers, where the range has any.
    """
    wanted = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(wanted))
    # a hair more, since 0.2 / 0.1 may be a little above 2
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * (1 + 1e-9) >= wanted)
    if is_whole and step < 1 and math.ceil(low) <= high:
        step = 1.0
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if 1e-15 < step < 1:  # 3 / 10 is 0.3, and 3 * 0.1 is not
        return tuple(index / round(1 / step) for index in range(first, last + 1))
    return tuple(index * step for index in range(first, last + 1))


def log_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Powers of ten; with fewer than two in the range 1, 2 and 5 times them; failing these, what a linear axis has."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = [power for power in range(first, last + 1) if low <= 10.0**power <= high]
    if len(decades) >= 2:
        stride = math.ceil(len(decades) / max(1, most))
        return tuple(10.0**power for power in decades if power % stride == 0) or (10.0 ** decades[0],)
    found = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    inside = tuple(tick for tick in found if low <= tick <= high)
    return inside if len(inside) >= 2 else nice_ticks(low, high, most)


def tick_texts(ticks: Sequence[float], *, is_log: bool = False) -> list[str]:
    """The numbers beside an axis: all with as many decimals as the distance between two needs."""
    if is_log or len(ticks) < 2:
        return [value_text(tick) for tick in ticks]
    largest, step = max(abs(tick) for tick in ticks), ticks[1] - ticks[0]
    digit = math.floor(math.log10(step) + 1e-9)
    if 1e-3 <= largest < 1e7:
        return [f"{tick + 0.0:.{max(0, -digit)}f}" for tick in ticks]  # + 0.0 for there is a -0.0
    decimals = max(0, math.floor(math.log10(largest)) - digit)
    return [_short(f"{tick:.{decimals}e}") if tick else "0" for tick in ticks]


def value_text(value: float) -> str:
    """One number for reading, with four digits that count: 0.1235, 2000, 1e-5."""
    if float(value).is_integer() and abs(value) < 1e7:
        return str(int(value))
    return _short(f"{value:.4g}")


def _short(text: str) -> str:
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else text


def pixel_runs(steps: Sequence[float], values: Sequence[float], x: Axis, y: Axis) -> list[list[Point]]:
    """A curve as lines through pixels, with no more points than can be seen.

    Of every column of pixels the lowest and the highest value stay, in their order, so that a spike stays visible. A
    value that cannot be shown interrupts the line, unless the gap would be narrower than a pixel.

    Args:
        steps: Of the values, in any order.
        values: As many.
        x: The axis of steps, linear.
        y: The axis of values.

    Returns:
        (x, y) in pixels, one list for every uninterrupted line; a line may be a single point.
    """
    runs: list[list[Point]] = [[]]
    for index in _kept(steps, values, x, lowest=0.0 if y.scale.is_log else -math.inf):
        if index == _GAP:
            runs.append([])
        else:
            runs[-1].append((x.position(steps[index]), y.position(values[index])))
    return [run for run in runs if run]


def _kept(steps: Sequence[float], values: Sequence[float], x: Axis, lowest: float) -> list[int]:
    """Indices of the points that stay, with ``_GAP`` between lines; one plain loop, for there may be 100000 points."""
    origin, isfinite = x.scale.low, math.isfinite
    per_unit = abs(x.last_px - x.first_px) / (x.scale.high - x.scale.low)
    kept: list[int] = []
    column, low, high = _GAP, 0.0, 0.0
    at_low = at_high = latest = _GAP
    is_gap = False
    for index, (step, value) in enumerate(zip(steps, values, strict=True)):
        if not isfinite(step + value) or value <= lowest:
            is_gap = True
            continue
        here = int((step - origin) * per_unit)
        if here != column:
            kept += _in_order(at_low, at_high)
            if is_gap and latest != _GAP:
                kept.append(_GAP)
            column, low, high = here, value, value
            at_low = at_high = index
        elif value < low:
            low, at_low = value, index
        elif value > high:
            high, at_high = value, index
        latest, is_gap = index, False
    return kept + _in_order(at_low, at_high, latest)


def _in_order(*indices: int) -> list[int]:
    return sorted(set(indices) - {_GAP})


def require_weight(weight: float) -> None:
    """Refuse what is no weight of smoothing.

    Raises:
        ValueError: It is none.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"A weight of smoothing is from 0 to below 1, not {weight}.")


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """An exponential moving average that is not drawn to zero at its begin.

    ``s[n] = weight * s[n - 1] + (1 - weight) * value[n]`` from ``s[0] = 0``, divided by ``1 - weight ** n``. What is no
    finite number stays in its place and is left out of the average.

    Args:
        values: In order.
        weight: Of what came before, from 0 (the values themselves) to below 1.

    Raises:
        ValueError: The weight is none.
    """
    require_weight(weight)
    if weight == 0:
        return list(values)
    average, remainder, found = 0.0, 1.0, []
    for value in values:
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            remainder *= weight
            found.append(average / (1 - remainder))
        else:
            found.append(value)
    return found


@dataclass(frozen=True)
class Box:
    """What a box plot shows of a group, in the values' units; all numbers are NaN when ``count`` is 0.

    Attributes:
        count: How many finite values there are.
        skipped: How many others: None, NaN, infinite.
        median: Half of the values are below.
        lower_quartile: A quarter is below.
        upper_quartile: A quarter is above.
        lower_whisker: The lowest value within 1.5 interquartile ranges of the box.
        upper_whisker: The highest.
        outliers: The values beyond the whiskers, ascending.
    """

    count: int
    skipped: int
    median: float = math.nan
    lower_quartile: float = math.nan
    upper_quartile: float = math.nan
    lower_whisker: float = math.nan
    upper_whisker: float = math.nan
    outliers: tuple[float, ...] = ()


def finite_values(values: Iterable[float | None]) -> list[float]:
    """The values that are finite numbers, in their order."""
    return [value for value in values if value is not None and math.isfinite(value)]


def box_of(values: Sequence[float | None]) -> Box:
    """Median, quartiles by linear interpolation between values (numpy's default), whiskers and outliers."""
    found = sorted(finite_values(values))
    skipped = len(values) - len(found)
    if not found:
        return Box(0, skipped)
    lower, median, upper = (_quantile(found, part) for part in (0.25, 0.5, 0.75))
    reach = WHISKER * (upper - lower)
    within = [value for value in found if lower - reach <= value <= upper + reach]
    # where no value lies between the fence and the box, the box itself is the end
    ends = min([lower, *within]), max([upper, *within])
    outliers = tuple(value for value in found if not lower - reach <= value <= upper + reach)
    return Box(len(found), skipped, median, lower, upper, *ends, outliers)


def _quantile(ascending: Sequence[float], part: float) -> float:
    place = part * (len(ascending) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (place - below) * (ascending[above] - ascending[below])
