"""Shapes in a patient, as depths: how many mm a place lies inside a shape's surface, negative outside.

Depths are those of a true distance near the surface, and only roughly so far from it; that is all that soft borders
need. Lengths are mm, places are those of :class:`~cisfa.phantom.fields.Points`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from cisfa.phantom.chance import Vector
from cisfa.phantom.fields import Points, Scalars, Waves

Box = NDArray[np.float64]
"""Lowest and highest coordinates, (2, 3)."""

EVERYWHERE: Box = np.array([[-np.inf] * 3, [np.inf] * 3])
UPRIGHT: tuple[Vector, Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


class Shape(Protocol):
    """Anything that has an inside."""

    @property
    def bounds(self) -> Box:
        """A box outside which nothing of the shape lies, (2, 3)."""

    def depth(self, at: Points) -> Scalars:
        """How deep inside each place lies, mm."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid; row i of ``axes`` is the direction of the i-th radius."""

    centre: Vector
    radii: Vector
    axes: tuple[Vector, Vector, Vector] = UPRIGHT

    @cached_property
    def bounds(self) -> Box:
        """The tightest box around it."""
        reach = np.sqrt(np.square(np.asarray(self.axes) * np.asarray(self.radii)[:, None]).sum(axis=0))
        return np.stack([self.centre - reach, self.centre + reach])

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`; exact to first order at the surface."""
        x, y, z = at.x - self.centre[0], at.y - self.centre[1], at.z - self.centre[2]
        # not quite zero, so that the centre has a depth too: the shortest radius
        inside, slope = np.full_like(x, 1e-12), np.full_like(x, 1e-12 / min(self.radii) ** 2)
        for (ax, ay, az), radius in zip(self.axes, self.radii, strict=True):
            along = (ax * x + ay * y + az * z) / radius
            square = along * along
            inside += square
            slope += square / radius**2
        ratio = np.sqrt(inside)
        return np.minimum((1.0 - ratio) * ratio / np.sqrt(slope), min(self.radii))


@dataclass(frozen=True)
class Capsule:
    """A piece of tube from one ball to another."""

    start: Vector
    end: Vector
    start_radius: float
    end_radius: float

    @cached_property
    def bounds(self) -> Box:
        """The tightest box around it."""
        ends = np.array([self.start, self.end])
        radii = np.array([[self.start_radius], [self.end_radius]])
        return np.stack([(ends - radii).min(axis=0), (ends + radii).max(axis=0)])

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`."""
        dx, dy, dz = (end - start for start, end in zip(self.start, self.end, strict=True))
        x, y, z = at.x - self.start[0], at.y - self.start[1], at.z - self.start[2]
        length2 = max(dx * dx + dy * dy + dz * dz, 1e-6)
        along = np.clip((dx * x + dy * y + dz * z) / length2, 0.0, 1.0)
        distance = np.sqrt((x - along * dx) ** 2 + (y - along * dy) ** 2 + (z - along * dz) ** 2)
        depth: Scalars = self.start_radius + along * (self.end_radius - self.start_radius) - distance
        return depth


@dataclass(frozen=True)
class Cylinder:
    """A tube along z without end; its cross-section lies between an ellipse (squareness 0) and a square (1)."""

    centre_xy: tuple[float, float]
    radii_xy: tuple[float, float]
    squareness: float = 0.0

    @cached_property
    def bounds(self) -> Box:
        """A box that is open along z."""
        (x, y), (rx, ry) = self.centre_xy, self.radii_xy
        return np.array([[x - rx, y - ry, -np.inf], [x + rx, y + ry, np.inf]])

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`; measured along the ray from the axis."""
        x, y = at.x - self.centre_xy[0], at.y - self.centre_xy[1]
        u, v = np.square(x / self.radii_xy[0]), np.square(y / self.radii_xy[1])
        ratio = np.sqrt(np.maximum(u + v - self.squareness * u * v, 1e-6))
        # the further out, the more square the level lines: never let a far corner come back inside
        ratio = np.where(u + v > 2.0, np.float32(1.5), ratio)
        depth: Scalars = (1.0 - ratio) * np.minimum(np.sqrt(x * x + y * y) / ratio, max(self.radii_xy))
        return depth


@dataclass(frozen=True)
class HalfSpace:
    """Everything behind a plane: ``direction`` (unit length) points out of it."""

    place: Vector
    direction: Vector

    @cached_property
    def bounds(self) -> Box:
        """All of space, up to the plane where that stands square to an axis."""
        box = EVERYWHERE.copy()
        for axis, along in enumerate(self.direction):
            if abs(along) == 1.0:
                box[1 if along > 0.0 else 0, axis] = self.place[axis]
        return box

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`."""
        (px, py, pz), (nx, ny, nz) = self.place, self.direction
        depth: Scalars = nx * (px - at.x) + ny * (py - at.y) + nz * (pz - at.z)
        return depth


@dataclass(frozen=True)
class Union:
    """What lies in any of the shapes, with a fillet of about ``blend_mm`` where they meet."""

    shapes: tuple[Shape, ...]
    blend_mm: float = 0.0

    @cached_property
    def bounds(self) -> Box:
        """The box around all boxes."""
        boxes = np.array([shape.bounds for shape in self.shapes])
        margin = self.blend_mm / 4.0
        return np.stack([boxes[:, 0].min(axis=0) - margin, boxes[:, 1].max(axis=0) + margin])

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`."""
        return reduce(self._join, (shape.depth(at) for shape in self.shapes))

    def _join(self, one: Scalars, other: Scalars) -> Scalars:
        deeper: Scalars = np.maximum(one, other)
        if self.blend_mm <= 0.0:
            return deeper
        meeting = np.maximum(1.0 - np.abs(one - other) / self.blend_mm, 0.0)
        deeper += np.square(meeting) * np.float32(self.blend_mm / 4.0)
        return deeper


@dataclass(frozen=True)
class Intersection:
    """What lies in all of the shapes."""

    shapes: tuple[Shape, ...]

    @cached_property
    def bounds(self) -> Box:
        """The box that all boxes share."""
        boxes = np.array([shape.bounds for shape in self.shapes])
        return np.stack([boxes[:, 0].max(axis=0), boxes[:, 1].min(axis=0)])

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`."""
        return reduce(np.minimum, (shape.depth(at) for shape in self.shapes))


@dataclass(frozen=True)
class Outside:
    """What does not lie in a shape."""

    shape: Shape

    @property
    def bounds(self) -> Box:
        """All of space."""
        return EVERYWHERE

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`."""
        return -self.shape.depth(at)


@dataclass(frozen=True)
class Grown:
    """A shape whose surface is moved outwards, or inwards where ``by_mm`` is negative."""

    shape: Shape
    by_mm: float

    @cached_property
    def bounds(self) -> Box:
        """The shape's box, grown."""
        low, high = self.shape.bounds
        return np.stack([low - max(self.by_mm, 0.0), high + max(self.by_mm, 0.0)])

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`."""
        return self.shape.depth(at) + np.float32(self.by_mm)


@dataclass(frozen=True)
class Rough:
    """A shape whose surface goes in and out by ``by_mm`` (standard deviation), following a random field."""

    shape: Shape
    waves: Waves
    by_mm: float

    @cached_property
    def bounds(self) -> Box:
        """The shape's box, grown by all the waves' crests at once."""
        crest = abs(self.by_mm) * np.sqrt(2.0 * len(self.waves.phases))
        low, high = self.shape.bounds
        return np.stack([low - crest, high + crest])

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`."""
        return self.shape.depth(at) + self.waves.at(at) * np.float32(self.by_mm)


@dataclass(frozen=True)
class Clumps:
    """Scattered lumps: wherever a random field exceeds ``threshold`` standard deviations.

    Attributes:
        steepness_mm: Depth for each standard deviation above the threshold; about the lumps' size.
    """

    waves: Waves
    threshold: float
    steepness_mm: float

    @property
    def bounds(self) -> Box:
        """All of space."""
        return EVERYWHERE

    def depth(self, at: Points) -> Scalars:
        """See :class:`Shape`."""
        return (self.waves.at(at) - np.float32(self.threshold)) * np.float32(self.steepness_mm)


def tube(path: Sequence[Vector], radii: Sequence[float], *, pieces: int) -> tuple[Capsule, ...]:
    """A tube along a path, its corners rounded.

    Args:
        path: Places that it passes by; it ends near the first and last of them.
        radii: One at each place.
        pieces: How many capsules to cut it in.
    """
    corners = np.column_stack([np.asarray(path, float), np.asarray(radii, float)])
    travelled = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(corners[:, :3], axis=0), axis=1)))
    at = np.linspace(0.0, travelled[-1], pieces + 1)
    nodes = np.column_stack([np.interp(at, travelled, column) for column in corners.T])
    nodes = gaussian_filter1d(nodes, max(pieces / (4.0 * len(path)), 0.5), axis=0, mode="nearest")
    ends = [((float(x), float(y), float(z)), float(radius)) for x, y, z, radius in nodes]
    return tuple(
        Capsule(start, end, start_radius, end_radius) for (start, start_radius), (end, end_radius) in pairwise(ends)
    )


def turned(about_x: float = 0.0, about_y: float = 0.0, about_z: float = 0.0) -> tuple[Vector, Vector, Vector]:
    """Axes of an ellipsoid that is turned about x, then y, then z; degrees."""
    ax, ay, az = np.deg2rad([about_x, about_y, about_z])
    x = np.array([[1, 0, 0], [0, np.cos(ax), -np.sin(ax)], [0, np.sin(ax), np.cos(ax)]])
    y = np.array([[np.cos(ay), 0, np.sin(ay)], [0, 1, 0], [-np.sin(ay), 0, np.cos(ay)]])
    z = np.array([[np.cos(az), -np.sin(az), 0], [np.sin(az), np.cos(az), 0], [0, 0, 1]])
    rows = (z @ y @ x).T.tolist()
    return tuple(rows[0]), tuple(rows[1]), tuple(rows[2])
