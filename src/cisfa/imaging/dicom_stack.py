"""From frames somewhere in space to a stack: sorted along the slices' normal, and one regular grid, or refused.

What is tolerated, and what it costs at most:

- positions rounded when they were written: all slices lie within a tenth of their spacing of a uniform line, steps
  between half and one and a half times the usual one
- slices drawn aside (gantry tilt, a sheared stack): up to half a pixel from the first slice to the last, as rounded
  cosines give; more is refused, since the voxels' columns would not be where the grid says
- directions a thousandth from unit length, two thousandths from a right angle, as three decimals give
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import GeometryError, VolumeFileError
from cisfa.imaging.dicom_doubles import require_single_positions
from cisfa.imaging.dicom_frames import FrameHeader
from cisfa.imaging.geometry import Geometry

_UNIT, _RIGHT_ANGLE, _SAME_DIRECTION = 1e-3, 2e-3, 2e-3
_SAME_SPACING = 1e-3
_RESIDUAL, _STEPS = 0.1, (0.5, 1.5)
# written with one decimal: up to this much off, whatever the spacing
_ROUNDED_MM = 0.09
_RESIDUAL_OF_ROUNDED = 0.25
_DRIFT_PIXELS = 0.5
_Value = TypeVar("_Value", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames that make a volume.

    Attributes:
        frames: By position along the normal.
        geometry: Slice k is frames[k].
    """

    frames: tuple[FrameHeader, ...]
    geometry: Geometry


def stack_of(frames: Sequence[FrameHeader], where: str) -> Stack:
    """Sort frames and find their grid.

    Args:
        frames: Of one series, in any order.
        where: The series, for messages.

    Raises:
        VolumeFileError: They make no regular grid; the message says why.
    """
    grid = _common([frame.grid for frame in frames], where, "numbers of rows and columns", "{0[0]}x{0[1]}")
    row, column = _directions(frames, where)
    pixel_mm = _pixel_spacing(frames, where)
    normal = np.cross(row, column)
    positions = np.array([frame.position_mm for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    ordered = tuple(frames[index] for index in order)
    first, step_mm = _line(ordered, positions[order], normal, min(pixel_mm), where)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([normal * step_mm, column * pixel_mm[0], row * pixel_mm[1]], axis=1)
    matrix[:3, 3] = first
    try:
        return Stack(ordered, Geometry((len(frames), *grid), matrix))
    except GeometryError as error:
        raise VolumeFileError(f"{where}: {error}") from error


def common_frame_of_reference(frames: Sequence[FrameHeader], where: str) -> str:
    """The Frame of Reference UID that all frames share that have one; empty where none has.

    Raises:
        VolumeFileError: There are several.
    """
    found = Counter(frame.frame_of_reference_uid for frame in frames)
    found.pop("", None)
    if len(found) > 1:
        counts = " and ".join(str(count) for _, count in found.most_common())
        raise VolumeFileError(
            f"{where}: the slices of this series lie in {len(found)} frames of reference (with {counts} slices), so the"
            " patient was moved between them. Name the files of one of them."
        )
    return next(iter(found), "")


def _directions(frames: Sequence[FrameHeader], where: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along a row and along a column, at a right angle."""
    found = np.array([frame.orientation for frame in frames])
    differing = np.abs(found - found[0]).max(axis=1) > _SAME_DIRECTION
    if differing.any():
        normals = np.cross(found[:, :3], found[:, 3:])
        degrees = max(_degrees_between(found[0, :3], other[:3]) for other in found[differing])
        degrees = max(degrees, *(_degrees_between(normals[0], other) for other in normals[differing]))
        raise VolumeFileError(
            f"{where}: the slices of this series differ in orientation: {int(differing.sum())} of {len(frames)} are"
            f" turned by up to {degrees:.1f} degrees against the others. Name the files of one orientation."
        )
    row, column = found.mean(axis=0).reshape(2, 3)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > _UNIT:
        raise VolumeFileError(
            f"{frames[0].where}: the directions of its rows and columns (Image Orientation (Patient)) have the lengths"
            f" {lengths[0]:.4g} and {lengths[1]:.4g}, and must have 1. Export the series again."
        )
    row, column = row / lengths[0], column / lengths[1]
    if abs(row @ column) > _RIGHT_ANGLE:
        raise VolumeFileError(
            f"{frames[0].where}: its rows and columns meet at {_degrees_between(row, column):.1f} degrees, not at a"
            " right angle (Image Orientation (Patient)). Export the series again."
        )
    column = column - row * (row @ column)
    return row, column / np.linalg.norm(column)


def _pixel_spacing(frames: Sequence[FrameHeader], where: str) -> tuple[float, float]:
    found = np.array([frame.pixel_spacing_mm for frame in frames])
    if (np.abs(found / found[0] - 1) > _SAME_SPACING).any():
        low, high = found.min(axis=0), found.max(axis=0)
        raise VolumeFileError(
            f"{where}: the slices of this series differ in pixel spacing, from {low[0]:g} x {low[1]:g} to"
            f" {high[0]:g} x {high[1]:g} mm. Name the files of one of them."
        )
    return float(found[0, 0]), float(found[0, 1])


def _common(values: Sequence[_Value], where: str, what: str, form: str) -> _Value:
    found = Counter(values)
    if len(found) > 1:
        said = ", ".join(f"{form.format(value)} ({count} of {len(values)})" for value, count in found.most_common(3))
        raise VolumeFileError(
            f"{where}: the slices of this series differ in their {what}: {said}. Name the files of one of them."
        )
    return values[0]


def _line(
    frames: Sequence[FrameHeader],
    positions: NDArray[np.float64],
    normal: NDArray[np.float64],
    pixel_mm: float,
    where: str,
) -> tuple[NDArray[np.float64], float]:
    """Where the first slice lies, and how far the next one is from it along the normal.

    Args:
        frames: By position along the normal.
        positions: Theirs, (slices, 3).
        normal: Unit vector.
        pixel_mm: Smaller distance of neighbouring pixels.
        where: The series.
    """
    if len(frames) == 1:
        spacing = frames[0].slice_spacing_mm
        if spacing is None:
            raise VolumeFileError(
                f"{where} is a single slice without Spacing Between Slices and Slice Thickness, so nobody knows how"
                " thick it is. Name a series of several slices, or export it with its thickness."
            )
        return positions[0], spacing
    along = positions @ normal
    require_single_positions(frames, along, where)
    _require_upright(positions, along, normal, pixel_mm, where)
    _require_no_gap(along, where)
    step, start = np.polyfit(np.arange(len(along)), along - along[0], 1)
    residuals = along - along[0] - start - step * np.arange(len(along))
    steps = np.diff(along)
    tolerated = max(_RESIDUAL * step, min(_ROUNDED_MM, _RESIDUAL_OF_ROUNDED * step))
    usual = float(np.median(steps))
    if np.abs(residuals).max() > tolerated or steps.min() < _STEPS[0] * usual or steps.max() > _STEPS[1] * usual:
        raise VolumeFileError(
            f"{where}: the distance of neighbouring slices varies from {steps.min():.3g} to {steps.max():.3g} mm, and a"
            " volume has one. Resample the series to even slices, or name the files of its evenly spaced part."
        )
    aside = positions - along[:, None] * normal
    return aside.mean(axis=0) + (along[0] + start) * normal, float(step)


def _require_upright(
    positions: NDArray[np.float64], along: NDArray[np.float64], normal: NDArray[np.float64], pixel_mm: float, where: str
) -> None:
    """Refuse slices that are drawn aside as they follow each other."""
    aside = positions - along[:, None] * normal
    centred = along - along.mean()
    slope = centred @ (aside - aside.mean(axis=0)) / (centred @ centred)
    drift_mm = float(np.linalg.norm(slope) * (along[-1] - along[0]))
    tolerated = max(_DRIFT_PIXELS * pixel_mm, _ROUNDED_MM)
    if drift_mm > tolerated:
        degrees = math.degrees(math.atan(float(np.linalg.norm(slope))))
        raise VolumeFileError(
            f"{where} was acquired with a tilted gantry: its slices follow each other at {degrees:.1f} degrees to their"
            f" normal, {drift_mm:.1f} mm aside from the first to the last. Correct the tilt first (3D Slicer does so"
            " when it loads the series: save that volume as NRRD)."
        )
    scatter_mm = float(np.linalg.norm(aside - aside.mean(axis=0) - centred[:, None] * slope, axis=1).max())
    if scatter_mm > tolerated:
        raise VolumeFileError(
            f"{where}: the slices of this series lie up to {scatter_mm:.1f} mm aside of each other, so they make no"
            " straight stack. Name the files of its straight part."
        )


def _require_no_gap(along: NDArray[np.float64], where: str) -> None:
    steps = np.diff(along)
    # the lower one, so that the gap among two steps is not half of what is usual
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    times = steps / usual
    gaps = np.flatnonzero(times > _STEPS[1])
    whole = np.rint(times[gaps])
    if not len(gaps) or (np.abs(times[gaps] - whole) > _RESIDUAL * whole).any():
        return  # what is uneven is for the line to judge
    missing = int((whole - 1).sum())
    places = [f"between {along[gap]:.1f} and {along[gap + 1]:.1f} mm" for gap in gaps[:3]]
    more = f" and at {len(gaps) - 3} more places" if len(gaps) > 3 else ""
    raise VolumeFileError(
        f"{where} lacks {missing} {'slice' if missing == 1 else 'slices'}: {', '.join(places)}{more} along the slices'"
        f" normal, where others are {usual:.3g} mm apart. Copy or export the series again, whole."
    )


def _degrees_between(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return math.degrees(math.acos(min(1.0, max(-1.0, float(one @ other) / lengths)))) if lengths else 90.0
