"""Where the voxels of an array lie in the patient.

Array axes are always (slice, row, column). World coordinates are DICOM's patient coordinates in mm: +x to the
patient's Left, +y to the Posterior, +z to the Superior (LPS).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cisfa.errors import GeometryError

Plane = Literal["axial", "coronal", "sagittal"]

_NORMAL_AXIS: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}
_SAME_PLACE_MM = 1e-3
# volume of the box that three unit axes span, 1 when they are orthogonal
_FLAT = 1e-6


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid of voxels in space; oblique, anisotropic and flipped grids are kept as they are.

    Attributes:
        shape: Number of (slices, rows, columns).
        index_to_lps: 4x4 matrix, float64, read-only; takes (slice, row, column, 1) of a voxel's centre to LPS mm.
    """

    shape: tuple[int, int, int]
    index_to_lps: NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = np.array(self.index_to_lps, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or _is_flat(matrix[:3, :3]):
            raise GeometryError(
                f"The volume's grid is degenerate (index to mm: {matrix.tolist()}): two of its axes point the same"
                " way, or a spacing is zero. Export it again from its source."
            )
        matrix.setflags(write=False)
        object.__setattr__(self, "index_to_lps", matrix)
        object.__setattr__(self, "shape", tuple(int(count) for count in self.shape))

    @classmethod
    def from_axes(
        cls,
        shape: tuple[int, int, int],
        *,
        spacing_mm: ArrayLike = (1.0, 1.0, 1.0),
        origin_lps_mm: ArrayLike = (0.0, 0.0, 0.0),
        axes_lps: ArrayLike = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    ) -> "Geometry":
        """Build a grid from what image headers give.

        Args:
            shape: (slices, rows, columns).
            spacing_mm: Distance of neighbouring voxel centres along (slice, row, column).
            origin_lps_mm: Centre of voxel (0, 0, 0).
            axes_lps: Three unit vectors: the LPS direction in which the slice, row and column index grows. The
                default is an axial volume whose slices run to Superior, rows to Posterior, columns to Left.
        """
        matrix = np.eye(4)
        matrix[:3, :3] = (np.asarray(axes_lps, float) * np.asarray(spacing_mm, float)[:, None]).T
        matrix[:3, 3] = np.asarray(origin_lps_mm, float)
        return cls(shape, matrix)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along (slice, row, column)."""
        lengths = np.linalg.norm(self.index_to_lps[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def axes_lps(self) -> NDArray[np.float64]:
        """Unit vectors, (3, 3): row i is the LPS direction in which array index i grows."""
        axes: NDArray[np.float64] = (self.index_to_lps[:3, :3] / np.asarray(self.spacing_mm)).T
        return axes

    @property
    def origin_lps_mm(self) -> NDArray[np.float64]:
        """Centre of voxel (0, 0, 0), (3,)."""
        return self.index_to_lps[:3, 3].copy()

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(abs(np.linalg.det(self.index_to_lps[:3, :3])) / 1000.0)

    def to_lps(self, indices: ArrayLike) -> NDArray[np.float64]:
        """Take voxel indices (n, 3) to LPS mm (n, 3)."""
        points: NDArray[np.float64] = np.asarray(indices, float) @ self.index_to_lps[:3, :3].T
        return points + self.index_to_lps[:3, 3]

    def to_index(self, points_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Take LPS mm (n, 3) to fractional voxel indices (n, 3)."""
        inverse = np.linalg.inv(self.index_to_lps)
        indices: NDArray[np.float64] = np.asarray(points_lps_mm, float) @ inverse[:3, :3].T
        return indices + inverse[:3, 3]

    def transposed(self, axes: tuple[int, int, int]) -> "Geometry":
        """The grid of ``array.transpose(axes)``."""
        matrix = self.index_to_lps.copy()
        matrix[:3, :3] = self.index_to_lps[:3, list(axes)]
        return Geometry((self.shape[axes[0]], self.shape[axes[1]], self.shape[axes[2]]), matrix)

    def flipped(self, axis: int) -> "Geometry":
        """The grid of ``numpy.flip(array, axis)``."""
        matrix = self.index_to_lps.copy()
        matrix[:3, 3] += matrix[:3, axis] * (self.shape[axis] - 1)
        matrix[:3, axis] *= -1
        return Geometry(self.shape, matrix)

    def is_same_grid(self, other: "Geometry") -> bool:
        """True when both grids have the same shape and all their corners coincide within a micrometre.

        The tolerance grows to a hundredth of the smallest spacing, since NIfTI keeps its matrix in float32.
        """
        return self.shape == other.shape and self.farthest_corner_mm(other) <= max(
            _SAME_PLACE_MM, 0.01 * min(self.spacing_mm)
        )

    def farthest_corner_mm(self, other: "Geometry") -> float:
        """Largest distance between the same corners of two grids of one shape."""
        corners = np.array(np.meshgrid(*[(0, count - 1) for count in self.shape])).reshape(3, -1).T
        return float(np.linalg.norm(self.to_lps(corners) - other.to_lps(corners), axis=1).max())

    def require_same_grid(self, other: "Geometry", *, ours: str, theirs: str) -> None:
        """Raise unless both are one grid.

        Args:
            other: The grid that must be the same.
            ours: What this grid is, for the message ("labels/ct_07.nii.gz").
            theirs: What the other one is.

        Raises:
            GeometryError: The shapes differ, or the grids lie at different places.
        """
        if self.shape != other.shape:
            raise GeometryError(
                f"{ours} has {shape_in_words(self.shape)}, but {theirs} has {shape_in_words(other.shape)}."
                " Resample one onto the other's grid."
            )
        if not self.is_same_grid(other):
            raise GeometryError(
                f"{ours} and {theirs} have the same shape but lie at different places: their corners are up to"
                f" {self.farthest_corner_mm(other):.2f} mm apart. Resample one onto the other's grid."
            )


def closest_axis(geometry: Geometry, plane: Plane) -> int:
    """The array axis that runs most nearly along the plane's normal; oblique volumes included.

    The three anatomical directions are shared out among the three axes, so each plane gets an axis of its own.
    """
    return axes_by_direction(geometry)[_NORMAL_AXIS[plane]]


def axes_by_direction(geometry: Geometry) -> tuple[int, int, int]:
    """The array axes that run most nearly along (Left, Posterior, Superior), each used once."""
    alignment = np.abs(geometry.axes_lps)
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    return max(orders, key=lambda order: sum(alignment[axis, direction] for direction, axis in enumerate(order)))


def plane_of_axis(geometry: Geometry, axis: int) -> Plane:
    """The anatomical plane whose normal the array axis most nearly is."""
    direction = axes_by_direction(geometry).index(axis)
    return next(plane for plane, normal in _NORMAL_AXIS.items() if normal == direction)


def _is_flat(axes_mm: NDArray[np.float64]) -> bool:
    lengths = np.linalg.norm(axes_mm, axis=0)
    return bool((lengths == 0).any() or abs(np.linalg.det(axes_mm / lengths)) < _FLAT)


def shape_in_words(shape: tuple[int, int, int]) -> str:
    """For people: "30 slices of 512x512"."""
    return f"{shape[0]} slices of {shape[1]}x{shape[2]}"
