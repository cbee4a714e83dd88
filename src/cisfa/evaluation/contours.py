"""Draw the contours of truth and prediction over slices, so that a number can be checked by eye."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import dist
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cisfa.evaluation.overlap import acquisition_axis, organ_slices
from cisfa.evaluation.score_case import CaseScores
from cisfa.evaluation.statistics import DICE, case_mean
from cisfa.imaging.geometry import Geometry, axes_by_direction, plane_of_axis
from cisfa.imaging.organs import Organ
from cisfa.imaging.volume import LabelMap, Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLICES_SHOWN = 5
_PANEL_IN = 2.6
_TITLE_IN = 0.35
_LEGEND_IN = 0.6
_DPI = 130
_MARGIN_MM = 25.0
_STYLES: tuple[tuple[str, Literal["dashed", "solid"]], ...] = (("truth", "dashed"), ("prediction", "solid"))
# LPS directions that point right and down on the screen, with their signs, when a radiologist looks at the plane:
# the patient's Left is at the right of axial and coronal slices, Posterior at the right of sagittal ones
_SCREEN = {"axial": ((0, 1), (1, 1)), "coronal": ((0, 1), (2, -1)), "sagittal": ((1, 1), (2, -1))}


# bright hues that people with any kind of colour vision tell apart (Okabe and Ito, "Color Universal Design")
_SPARE_COLOURS = ((0.34, 0.71, 0.91), (0.94, 0.89, 0.26), (0.0, 0.62, 0.45), (0.8, 0.47, 0.65), (0.9, 0.62, 0.0))
_ALIKE = 0.4

Colours = dict[Organ, tuple[float, float, float]]


@dataclass(frozen=True, eq=False)
class ContourCase:
    """What is drawn of one case.

    Attributes:
        case: The case's name.
        truth: What an expert drew.
        prediction: What the model found, on the same grid.
        image: The volume behind the contours, on the same grid; None for a black background.
    """

    case: str
    truth: LabelMap
    prediction: LabelMap
    image: Volume | None = None


@dataclass(frozen=True, eq=False)
class _View:
    """A case turned the way a radiologist looks at it: array axes are (slice, down, right)."""

    truth: NDArray[Any]
    prediction: NDArray[Any]
    image: NDArray[Any] | None
    spacing_mm: tuple[float, float, float]

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width."""
        return self.spacing_mm[1] / self.spacing_mm[2]

    @property
    def height_to_width(self) -> float:
        """Height of a slice over its width, in mm."""
        return self.aspect * float(self.truth.shape[1] / self.truth.shape[2])


def worst_median_best(scores: Sequence[CaseScores]) -> dict[str, str]:
    """The cases worth a look: name to "worst", "median" or "best" by the mean Dice over organs.

    Cases without any Dice are passed over, unless there is no other; each case is there once.
    """
    means = {case.case: case_mean(case, DICE) for case in scores}
    ranked = sorted((case for case, mean in means.items() if mean is not None), key=lambda case: means[case] or 0.0)
    ranked = ranked or [case.case for case in scores]
    places = {0: "worst", (len(ranked) - 1) // 2: "median", len(ranked) - 1: "best"}
    if len(ranked) == 1:
        return {ranked[0]: "case"}
    if len(ranked) == 2:
        return {ranked[0]: "worst", ranked[1]: "best"}
    return {ranked[place]: rank for place, rank in places.items()}


def draw_contours(cases: Sequence[tuple[str, ContourCase]], organs: Sequence[Organ], path: Path) -> None:
    """Write a figure with a row of slices for each case.

    The slices are spread evenly over those in which the truth holds an organ. They are shown as a radiologist sees
    them (the nearest of axial, coronal, sagittal; oblique volumes are not resampled), with the aspect that their
    spacing has in the patient, and cut to the organs with a margin of 25 mm.

    Args:
        cases: A title and what to draw, for each row.
        organs: The organs, for the colours and the legend.
        path: A file whose suffix matplotlib knows (.png).
    """
    from matplotlib.figure import Figure  # half a second; without pyplot there is no global state and no window

    colours = contour_colours(organs)
    views = [_cropped(_view(case)) for _, case in cases]
    heights_in = [_PANEL_IN * min(max(view.height_to_width, 0.4), 2.0) for view in views]
    height_in = sum(heights_in) + len(views) * _TITLE_IN + _LEGEND_IN
    figure = Figure(figsize=(SLICES_SHOWN * _PANEL_IN, height_in), facecolor="white")
    bottom_in = height_in
    for (title, _), view, panel_in in zip(cases, views, heights_in, strict=True):
        bottom_in -= panel_in + _TITLE_IN
        panels = [
            figure.add_axes(
                ((column + 0.02) / SLICES_SHOWN, bottom_in / height_in, 0.96 / SLICES_SHOWN, panel_in / height_in)
            )
            for column in range(SLICES_SHOWN)
        ]
        _draw_row(panels, title, view, colours)
    _add_legend(figure, colours)
    figure.savefig(path, dpi=_DPI)


def _draw_row(row: Sequence["Axes"], title: str, view: _View, colours: Colours) -> None:
    chosen = evenly_chosen(_slices_to_show(view), SLICES_SHOWN)
    low, high = _window(view)
    for axes in row:
        axes.set_axis_off()
    row[0].set_title(title, loc="left", fontsize=9, parse_math=False)
    for axes, index in zip(row, chosen, strict=False):
        grey = np.zeros(view.truth.shape[1:]) if view.image is None else view.image[index]
        axes.imshow(grey, cmap="gray", vmin=low, vmax=high, aspect=view.aspect, interpolation="nearest")
        for (_, style), labels in zip(_STYLES, (view.truth, view.prediction), strict=True):
            _draw_outlines(axes, labels[index], colours, style)
        axes.set_xlim(-0.5, view.truth.shape[2] - 0.5)
        axes.set_ylim(view.truth.shape[1] - 0.5, -0.5)


def _draw_outlines(axes: "Axes", labels: NDArray[Any], colours: Colours, style: str) -> None:
    rows, columns = np.arange(labels.shape[0] + 2) - 1, np.arange(labels.shape[1] + 2) - 1
    for organ, colour in colours.items():
        mask = np.pad(labels == organ.label, 1).astype(float)  # padded, so that outlines close at the border
        if mask.any():
            axes.contour(columns, rows, mask, levels=[0.5], colors=[colour], linestyles=style, linewidths=1.0)


def _add_legend(figure: "Figure", colours: Colours) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, linewidth=3, label=organ.name) for organ, colour in colours.items()]
    handles += [Line2D([], [], color="black", linestyle=style, label=what) for what, style in _STYLES]
    legend = figure.legend(handles=handles, loc="lower center", ncols=min(len(handles), 8), fontsize=8, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)


def contour_colours(organs: Sequence[Organ]) -> Colours:
    """A colour for each organ: its own, or a spare one where it would pass for an organ before it.

    The catalogue's colours suit surfaces in 3-D; those of the heart's chambers, for one, are alike as thin lines.
    """
    colours: Colours = {}
    for organ in organs:
        red, green, blue = organ.colour
        candidates = ((red / 255, green / 255, blue / 255), *_SPARE_COLOURS)
        free = (colour for colour in candidates if all(dist(colour, used) > _ALIKE for used in colours.values()))
        colours[organ] = next(free, candidates[0])
    return colours


def evenly_chosen(indices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The middles of ``count`` equal parts of the indices; all of them when there are no more than that."""
    if len(indices) <= count:
        return indices
    middles = ((np.arange(count) + 0.5) * len(indices) / count).astype(np.intp)
    return np.take(indices, middles)


def radiological(voxels: NDArray[Any], geometry: Geometry, slice_axis: int) -> tuple[NDArray[Any], Geometry]:
    """Turn an array to axes (slice, down, right), as a radiologist looks at the slices across ``slice_axis``.

    Axial: Anterior up, the patient's Right at the left. Coronal: Superior up, Right at the left. Sagittal: Superior
    up, Anterior at the left. Oblique volumes follow their nearest directions; nothing is resampled.
    """
    (right, right_sign), (down, down_sign) = _SCREEN[plane_of_axis(geometry, slice_axis)]
    by_direction = axes_by_direction(geometry)
    axes = (slice_axis, by_direction[down], by_direction[right])
    voxels, geometry = voxels.transpose(axes), geometry.transposed(axes)
    for axis, direction, sign in ((1, down, down_sign), (2, right, right_sign)):
        if geometry.axes_lps[axis, direction] * sign < 0:
            voxels, geometry = np.flip(voxels, axis), geometry.flipped(axis)
    return voxels, geometry


def _view(case: ContourCase) -> _View:
    geometry, axis = case.truth.geometry, acquisition_axis(case.truth.geometry)
    truth, turned = radiological(case.truth.voxels, geometry, axis)
    prediction, _ = radiological(case.prediction.voxels, geometry, axis)
    image = None if case.image is None else radiological(case.image.voxels, geometry, axis)[0]
    return _View(truth, prediction, image, turned.spacing_mm)


def _cropped(view: _View) -> _View:
    """Cut the slices to the organs with a margin; the slices themselves all stay."""
    parts = [slice(None)]
    for axis in (1, 2):
        others = tuple(other for other in range(3) if other != axis)
        held = np.flatnonzero(np.any((view.truth != 0) | (view.prediction != 0), axis=others))
        margin = int(np.ceil(_MARGIN_MM / view.spacing_mm[axis]))
        parts.append(slice(max(0, held[0] - margin), held[-1] + margin + 1) if len(held) else slice(None))
    box = tuple(parts)
    image = None if view.image is None else view.image[box]
    return _View(view.truth[box], view.prediction[box], image, view.spacing_mm)


def _slices_to_show(view: _View) -> NDArray[np.intp]:
    """The organ slices; those of the prediction when the truth is empty, all when both are."""
    for labels in (view.truth, view.prediction):
        held = np.flatnonzero(organ_slices(labels, 0))
        if len(held):
            return held
    return np.arange(view.truth.shape[0])


def _window(view: _View) -> tuple[float, float]:
    """Darkest and brightest shown intensity: the 1st and 99th percentile of what is shown."""
    if view.image is None:
        return 0.0, 1.0
    low, high = np.percentile(view.image[_slices_to_show(view)], (1, 99))
    return float(low), float(max(high, low + 1e-6))
