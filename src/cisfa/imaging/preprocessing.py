"""From a volume to slices a network reads, and from its predictions back onto the volume's own grid.

Training and inference share this one path: axes are brought to a standard order by transposing and flipping alone
(which is undone exactly), the body or a region of interest is cut out, intensities are normalised, and slices are
resized in-plane. Nothing is resampled between slices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.config import Modality, PlaneChoice, PreprocessingConfig
from cisfa.imaging.geometry import Geometry, Plane, axes_by_direction, plane_of_axis
from cisfa.imaging.intensity import body_bounds, measure_scale
from cisfa.imaging.resampling import resize_linear, resize_nearest
from cisfa.imaging.roi import IndexBox, Roi
from cisfa.imaging.volume import LabelMap, Volume

# index of the patient direction (0 left, 1 posterior, 2 superior) along (slice, row, column), and the sign in which
# each grows: rows run down the screen and columns to its right in the radiological view
_STANDARD_DIRECTIONS: dict[Plane, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "axial": ((2, 1), (1, 1), (0, 1)),
    "coronal": ((1, 1), (2, -1), (0, 1)),
    "sagittal": ((0, 1), (2, -1), (1, 1)),
}
_CLEARLY_THICKER = 1.3
# of a slice's spread in a volume whose own is 1
_LEAST_CONTRAST = 0.01


@dataclass(frozen=True)
class SliceFrame:
    """How standard slices relate to the voxels of the volume they were cut from.

    Attributes:
        geometry: The volume's own grid.
        axes: ``voxels.transpose(axes)`` has (slice, row, column) of the standard plane.
        flips: Axes of the transposed array that are reversed after that.
        box: What is kept of the transposed and flipped array.
        size: Rows and columns of the slices.
    """

    geometry: Geometry
    axes: tuple[int, int, int]
    flips: tuple[int, ...]
    box: IndexBox
    size: int

    @property
    def slices(self) -> int:
        """Number of slices."""
        return _length(self.box[0])

    @property
    def box_shape(self) -> tuple[int, int]:
        """Rows and columns of the box in the volume's own voxels."""
        return _length(self.box[1]), _length(self.box[2])

    @property
    def row_spacing_mm(self) -> float:
        """Height of one row of the slices in mm."""
        return self.geometry.spacing_mm[self.axes[1]] * self.box_shape[0] / self.size

    @property
    def column_spacing_mm(self) -> float:
        """Width of one column of the slices in mm."""
        return self.geometry.spacing_mm[self.axes[2]] * self.box_shape[1] / self.size

    def to_standard(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """A view of the volume's voxels in the standard order, not yet cut."""
        return np.flip(voxels.transpose(self.axes), self.flips)

    def from_standard(self, standard: NDArray[Any]) -> NDArray[Any]:
        """Undo :meth:`to_standard`."""
        inverse = np.argsort(self.axes)
        return np.ascontiguousarray(np.flip(standard, self.flips).transpose(inverse))


class Restorer:
    """Collects predictions slice by slice and puts them onto the volume's own grid.

    Only labels are kept, one byte a voxel (two above 255 organs), so memory does not grow with the number of organs.
    """

    def __init__(self, frame: SliceFrame, values: NDArray[np.unsignedinteger]) -> None:
        """Begin with background everywhere.

        Args:
            frame: From :meth:`Preprocessing.apply`.
            values: Label value of each class of the prediction, (classes,), background's 0 first.
        """
        self._frame = frame
        self._values = values
        standard_shape = tuple(frame.geometry.shape[axis] for axis in frame.axes)
        self._standard = np.zeros(standard_shape, dtype=values.dtype)

    def add(self, first_slice: int, probabilities: NDArray[np.float32]) -> None:
        """Take the probabilities (slices, classes, size, size) of consecutive slices.

        They are resized to the volume's pixels before the likeliest class is taken, so edges are smooth.
        """
        slices, rows, columns = self._frame.box
        begin = slices.start + first_slice
        for offset, one_slice in enumerate(probabilities):
            classes = resize_linear(one_slice, self._frame.box_shape).argmax(axis=0)
            self._standard[begin + offset, rows, columns] = self._values[classes]

    def label_map(self, name: str) -> LabelMap:
        """What was predicted, on the volume's own grid."""
        return LabelMap(self._frame.from_standard(self._standard), self._frame.geometry, name)


@dataclass(frozen=True, eq=False)
class PreparedSlices:
    """Normalised slices and the way back.

    Attributes:
        voxels: (slices, size, size), float32, zero mean and unit variance over the box.
        frame: How they relate to the volume.
    """

    voxels: NDArray[np.float32]
    frame: SliceFrame


@dataclass(frozen=True)
class Preprocessing:
    """What is done to every volume before a network sees it.

    Attributes:
        config: Plane, size, crop and intensity settings.
        modality: How intensities are read: CT in HU, or MR.
    """

    config: PreprocessingConfig
    modality: Modality

    def apply(self, volume: Volume, roi: Roi | None = None) -> PreparedSlices:
        """Cut, normalise and resize a volume.

        Args:
            volume: Any orientation, spacing and scalar type.
            roi: The box to cut out instead of the body; slices outside it are left out.

        Raises:
            VolumeFileError: The volume is constant.
            GeometryError: The region of interest lies outside the volume.
        """
        plane = choose_plane(volume.geometry, self.config.plane)
        axes, flips = _standard_order(volume.geometry, plane)
        whole: IndexBox = tuple(slice(0, volume.geometry.shape[axis]) for axis in axes)  # type: ignore[assignment]
        uncut = SliceFrame(volume.geometry, axes, flips, whole, self.config.size)
        standard = uncut.to_standard(volume.voxels)
        box = self._box(standard, uncut, roi)
        scale = measure_scale(standard[box], self.modality, self.config, name=volume.name)
        frame = SliceFrame(volume.geometry, axes, flips, box, self.config.size)
        resized = np.empty((frame.slices, frame.size, frame.size), dtype=np.float32)
        # slice by slice, so that a study of 600 slices is never in memory as floating point
        for one_resized, one_slice in zip(resized, standard[box], strict=True):
            one_resized[:] = resize_linear(scale(one_slice), (frame.size, frame.size))
        return PreparedSlices(resized, frame)

    def apply_to_labels(self, labels: LabelMap, frame: SliceFrame) -> NDArray[np.unsignedinteger]:
        """Cut and resize (nearest neighbour) a label map as its volume was; (slices, size, size).

        Raises:
            GeometryError: It lies on another grid than its volume.
        """
        labels.geometry.require_same_grid(frame.geometry, ours=labels.name, theirs="its volume")
        return resize_nearest(frame.to_standard(labels.voxels)[frame.box], (frame.size, frame.size))

    def _box(self, standard: NDArray[Any], uncut: SliceFrame, roi: Roi | None) -> IndexBox:
        if roi is not None:
            return roi.index_box(_standard_geometry(uncut))
        if not self.config.crop_to_body:
            return uncut.box
        return (uncut.box[0], *body_bounds(standard, self.modality, self.config))


def with_contrast(slices: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which slices show anything: padding and the empty ends of a volume do not.

    Args:
        slices: (slices, rows, columns), z-scored by volume.

    Returns:
        (slices,), False where the standard deviation is below a hundredth of the volume's.
    """
    spread: NDArray[np.float64] = slices.std(axis=(1, 2), dtype=np.float64)
    return spread >= _LEAST_CONTRAST


def choose_plane(geometry: Geometry, choice: PlaneChoice) -> Plane:
    """The plane to cut in; ``auto`` is the plane of acquisition.

    Slices are clearly thicker than their pixels (or there is just one) in the plane of acquisition; a volume without
    such an axis is cut axially.
    """
    if choice != "auto":
        return choice
    single = [axis for axis, count in enumerate(geometry.shape) if count == 1]
    if len(single) == 1:
        return plane_of_axis(geometry, single[0])
    spacing = geometry.spacing_mm
    thickest = int(np.argmax(spacing))
    if spacing[thickest] >= _CLEARLY_THICKER * sorted(spacing)[1]:
        return plane_of_axis(geometry, thickest)
    return "axial"


def _length(indices: slice) -> int:
    return int(indices.stop) - int(indices.start)


def _standard_order(geometry: Geometry, plane: Plane) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    by_direction = axes_by_direction(geometry)
    wanted = _STANDARD_DIRECTIONS[plane]
    axes = (by_direction[wanted[0][0]], by_direction[wanted[1][0]], by_direction[wanted[2][0]])
    flips = tuple(
        place for place, (direction, sign) in enumerate(wanted) if geometry.axes_lps[axes[place], direction] * sign < 0
    )
    return axes, flips


def _standard_geometry(frame: SliceFrame) -> Geometry:
    geometry = frame.geometry.transposed(frame.axes)
    for axis in frame.flips:
        geometry = geometry.flipped(axis)
    return geometry
