"""Paint a patient onto a voxel grid, finer than its slices, so that border voxels mix the tissues they cover."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cisfa.imaging.geometry import Geometry
from cisfa.phantom.fields import Points, Scalars, between, lattice
from cisfa.phantom.part import Part
from cisfa.phantom.shapes import Box, Shape
from cisfa.phantom.tissues import Appearance, Label, Tissue

Window = tuple[slice, slice, slice, slice]

# nodes of the coarse lattice lie so far apart: far less than the shortest bend of a body
_CELL_MM = 12.0


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxels of a scan, each cut into thinner layers along the slice's thickness.

    Attributes:
        geometry: The scan's grid, axes (slice, row, column).
        thickness_mm: Thickness of a slice; less than the slices' distance where there are gaps.
        layers: How many layers stand for the thickness.
        breath_mm: How far the patient has moved while each slice was taken, (slices, 3) in LPS mm.
        straighten: Takes places in the patient to those the parts are drawn in.
    """

    geometry: Geometry
    thickness_mm: float
    layers: int
    breath_mm: NDArray[np.float64]
    straighten: Callable[[Points], Points]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(slices, layers, rows, columns)."""
        slices, rows, columns = self.geometry.shape
        return slices, self.layers, rows, columns

    @cached_property
    def nodes(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The rows and the columns of the coarse lattice."""
        _, rows, columns = self.geometry.shape
        stride = max(int(_CELL_MM / max(self.geometry.spacing_mm[1:])), 1)
        return lattice(rows, stride), lattice(columns, stride)

    @cached_property
    def coarse(self) -> Points:
        """Where the voxels of a coarse lattice lie among the parts, (slices, layers, some rows, some columns)."""
        layer = (np.arange(self.layers) + 0.5) / self.layers - 0.5
        slices = np.arange(self.geometry.shape[0])
        index = np.meshgrid(slices, layer * self.thickness_mm, *self.nodes, indexing="ij")
        matrix = self.geometry.index_to_lps
        normal = self.geometry.axes_lps[0]
        at = [
            matrix[axis, 0] * index[0]
            + normal[axis] * index[1]
            + matrix[axis, 1] * index[2]
            + matrix[axis, 2] * index[3]
            + matrix[axis, 3]
            - self.breath_mm[:, axis].reshape(-1, 1, 1, 1)
            for axis in range(3)
        ]
        return self.straighten(Points(*(values.astype(np.float32) for values in at)))

    @cached_property
    def points(self) -> Points:
        """Where every voxel's layers lie among the parts."""
        return Points(*(self.refined(values) for values in self.coarse))

    def refined(self, values: Scalars) -> Scalars:
        """Interpolate values on the coarse lattice to all rows and columns."""
        _, rows, columns = self.geometry.shape
        row_nodes, column_nodes = self.nodes
        return between(between(values, column_nodes, columns, axis=-1), row_nodes, rows, axis=-2)

    def window(self, box: Box) -> Window | None:
        """The smallest block of voxels that holds a box in the parts' mm; None where it lies outside the scan."""
        # the nodes on both sides of a box's edge, in a body that bends and is up to half as large again
        margin = 1.5 * _CELL_MM
        inside = np.ones(self.coarse.x.shape, bool)
        for values, low, high in zip(self.coarse, *box, strict=True):
            if np.isfinite(low):
                inside &= values >= low - margin
            if np.isfinite(high):
                inside &= values <= high + margin
        ranges = []
        for axis, nodes in ((0, np.arange(self.geometry.shape[0])), (2, self.nodes[0]), (3, self.nodes[1])):
            hit = np.flatnonzero(inside.any(axis=tuple(other for other in range(4) if other != axis)))
            if hit.size == 0:
                return None
            ranges.append(slice(int(nodes[hit[0]]), int(nodes[hit[-1]]) + 1))
        return ranges[0], slice(0, self.layers), ranges[1], ranges[2]


@dataclass(frozen=True, eq=False)
class Painting:
    """What has been painted so far.

    Attributes:
        signal: HU or arbitrary units, (slices, layers, rows, columns).
        labels: Label values, same shape.
    """

    signal: Scalars
    labels: NDArray[np.uint8]

    def voxels(self) -> tuple[Scalars, NDArray[np.uint8]]:
        """Signal and labels of whole slices, (slices, rows, columns): the layers' mean, and what at least half are."""
        labels = np.zeros(self.signal.shape[:1] + self.signal.shape[2:], np.uint8)
        for label in list(Label)[1:]:
            labels[2 * (self.labels == label).sum(axis=1) >= self.labels.shape[1]] = label
        return self.signal.mean(axis=1), labels


def paint(parts: Sequence[Part], grid: Grid, appearance: Appearance, texture: Scalars) -> Painting:
    """Paint parts in their order, each with its tissue's level and texture.

    Args:
        parts: What to paint.
        grid: Where to.
        appearance: How bright each tissue is, and how grainy.
        texture: Unit-variance texture of each slice, (slices, rows, columns).
    """
    air = np.full(grid.shape, appearance.level[Tissue.AIR], np.float32)
    painting = Painting(air, np.zeros(grid.shape, np.uint8))
    for part in parts:
        for shape in part.shapes:
            _paint(shape, part, painting, grid, appearance, texture)
    return painting


def _paint(shape: Shape, part: Part, painting: Painting, grid: Grid, appearance: Appearance, texture: Scalars) -> None:
    window = grid.window(shape.bounds)
    if window is None:
        return
    depth = shape.depth(Points(*(values[window] for values in grid.points)))
    # a voxel whose centre lies on a flat border is half inside; one voxel further it is wholly in or out
    covered = np.clip(depth / np.float32(max(grid.geometry.spacing_mm[1:])) + np.float32(0.5), 0.0, 1.0)
    labels = painting.labels[window]
    if part.within is not None:
        covered *= labels == part.within
    else:
        labels[covered >= 0.5] = part.label
    slices, _, rows, columns = window
    level = appearance.level[part.tissue] + appearance.grain[part.tissue] * texture[slices, None, rows, columns]
    signal = painting.signal[window]
    signal += covered * (level - signal)
