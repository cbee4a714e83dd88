"""Curves over the steps of a training, painted with Qt into a label."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from CISFATrainingLib.curve_thinning import ThinCurve, ThinCurves
from CISFATrainingLib.plot_canvas import CENTRE, LEFT, MARGIN_PX, RIGHT, Canvas, Colour, Picture
from CISFATrainingLib.plot_scale import (
    Axis,
    Scale,
    nice_ticks,
    pixel_runs,
    scale_over,
    step_scale_over,
    tick_texts,
    value_text,
)

# after Okabe and Ito, without black and yellow, which a dark and a light background swallow
PALETTE: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (127, 127, 127),
)
_LINE_PX, _SWATCH_PX = 1.6, 16
_PALE = 0.35  # of the raw curve behind a smoothed one
_MOST_PALE = 6  # more of them are a fog, which takes half of the time to paint


def colour_of(index: int) -> Colour:
    """The colour of a curve; who cannot tell red from green can tell these apart. After seven they repeat."""
    return PALETTE[index % len(PALETTE)]


@dataclass(frozen=True)
class Curve:
    """A number that changes while training.

    Attributes:
        name: For the legend.
        steps: Where the values were taken.
        values: As many; what is no finite number leaves a gap.
        colour: Red, green and blue, 0 to 255.
    """

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    colour: Colour

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.values):
            raise ValueError(f"{self.name} has {len(self.steps)} steps and {len(self.values)} values.")


@dataclass(frozen=True)
class _Look:
    title: str
    y_title: str
    x: Scale
    y: Scale
    has_raw: bool


class CurvePlot(Picture):
    """Curves with a legend that says their last values."""

    def __init__(self, label: Any) -> None:
        """Args: a QLabel, as for :class:`~CISFATrainingLib.plot_canvas.Picture`."""
        super().__init__(label)
        self._thin = ThinCurves()

    def show(
        self,
        curves: Sequence[Curve],
        *,
        title: str,
        y_title: str = "",
        is_log: bool = False,
        smoothing: float = 0.0,
    ) -> None:
        """Paint curves, or say that there are none.

        Args:
            curves: In the legend's order.
            title: Above the picture.
            y_title: Beside the axis, with the unit if there is one.
            is_log: Whether the axis of values is logarithmic; values that are not positive leave gaps then.
            smoothing: Weight of what came before, 0 to below 1; the unsmoothed curve stays visible, paler, unless there
                are many.

        Raises:
            ValueError: The smoothing is out of range.
        """
        thins = self._thin.of([curve.values for curve in curves], smoothing)
        kept = [thin.indices for thin in thins]
        shown = [_at(curve, indices) for curve, indices in zip(curves, kept, strict=True)]
        lines = [thin.smoothed(indices) for thin, indices in zip(thins, kept, strict=True)]
        x = step_scale_over(curve.steps for curve in shown)
        y = scale_over((curve.values for curve in shown), is_log=is_log)
        if x is None or y is None:
            self.clear(_why_empty(curves))
            return
        look = _Look(title, y_title, x, y, has_raw=smoothing > 0 and len(curves) <= _MOST_PALE)
        words = [_in_words(curve, thin) for curve, thin in zip(curves, thins, strict=True)]
        self._show(lambda canvas: _paint(canvas, shown, lines, look), "\n".join(words))


def _at(curve: Curve, indices: Sequence[int]) -> Curve:
    """A curve of some of its values alone."""
    steps, values = [curve.steps[index] for index in indices], [curve.values[index] for index in indices]
    return Curve(curve.name, steps, values, curve.colour)


def _why_empty(curves: Sequence[Curve]) -> str:
    if any(math.isfinite(value) for curve in curves for value in curve.values):
        return _("A logarithmic axis shows only positive values, and there are none yet.")
    return _("No finite value yet.") if any(len(curve.values) for curve in curves) else _("No curves yet.")


def _in_words(curve: Curve, thin: ThinCurve) -> str:
    """A line of the tool tip: the last value, where, and how many values the picture leaves out."""
    at = thin.last
    if at is None:
        return _("{name}: no finite value").format(name=curve.name)
    words = [_("{name}: {value} at step {step}")]
    if thin.weight:
        words.append(_("smoothed {smooth}"))
    if thin.missing:
        words.append(_("{missing} without a finite value"))
    return ", ".join(words).format(
        name=curve.name,
        value=value_text(curve.values[at]),
        step=value_text(curve.steps[at]),
        smooth=value_text(thin.last_average),
        missing=thin.missing,
    )


def _last_finite(values: Sequence[float]) -> int | None:
    return next((index for index in range(len(values) - 1, -1, -1) if math.isfinite(values[index])), None)


def _paint(canvas: Canvas, curves: Sequence[Curve], lines: Sequence[Sequence[float]], look: _Look) -> None:
    top = _write_legend(canvas, curves, canvas.title(look.title)) + MARGIN_PX
    bottom = canvas.height - MARGIN_PX - 2 * canvas.text_height - 4
    y, left = canvas.y_axis(look.y, (top, bottom), look.y_title)
    x = Axis(look.x, left, canvas.width - MARGIN_PX)
    _draw_step_axis(canvas, x, bottom)
    if look.has_raw:
        for curve in curves:
            for run in pixel_runs(curve.steps, curve.values, x, y):
                canvas.polyline(run, canvas.faded(curve.colour, _PALE), 1.0)
    for curve, values in zip(curves, lines, strict=True):
        for run in pixel_runs(curve.steps, values, x, y):
            canvas.polyline(run, curve.colour, _LINE_PX)


def _write_legend(canvas: Canvas, curves: Sequence[Curve], top: float) -> float:
    """Write names and last values, in as many rows as fit a quarter of the picture; returns the y below."""
    room, row, x = canvas.width - 2 * MARGIN_PX, 0, 0
    most = max(1, canvas.height // 4 // canvas.text_height)
    for curve in curves:
        at = _last_finite(curve.values)
        value = "–" if at is None else value_text(curve.values[at])
        text = canvas.shortened(f"{curve.name} {value}", room - _SWATCH_PX - 4)
        width = _SWATCH_PX + 4 + canvas.text_size(text)[0]
        if x and x + width > room:
            row, x = row + 1, 0
        middle, left = top + (row + 0.5) * canvas.text_height, MARGIN_PX + x
        if row == most:  # the tool tip has the others
            canvas.text((canvas.width - MARGIN_PX, middle - canvas.text_height), RIGHT, "…")
            return top + row * canvas.text_height
        canvas.straight((left, middle), (left + _SWATCH_PX, middle), curve.colour, 3.0)
        canvas.text((left + _SWATCH_PX + 4, middle), LEFT, text)
        x += width + 2 * MARGIN_PX
    return top + (row + 1) * canvas.text_height


def _draw_step_axis(canvas: Canvas, x: Axis, bottom: float) -> None:
    plain = canvas.faded(canvas.foreground, 0.6)
    canvas.straight((x.first_px, bottom), (x.last_px, bottom), plain)
    ticks = nice_ticks(x.scale.low, x.scale.high, max(2, int((x.last_px - x.first_px) / 70)), is_whole=True)
    for tick, text in zip(ticks, tick_texts(ticks), strict=True):
        at, half = x.position(tick), canvas.text_size(text)[0] / 2
        canvas.straight((at, bottom), (at, bottom + 4), plain)
        canvas.text(
            (min(at, x.last_px + MARGIN_PX - half), bottom + 4 + canvas.text_height / 2), CENTRE, text, part=0.7
        )
    below = bottom + 4 + 1.5 * canvas.text_height
    canvas.text(((x.first_px + x.last_px) / 2, below), CENTRE, _("step"), part=0.7)
