"""Small series in every position of a patient, with label maps whose organs are awkward: sparse, flat, absent."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cisfa.dicom.segment_list import Algorithm, SegmentList, segments_of_bundle
from cisfa.imaging.dicom_series import DicomSeries, open_series
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.volume import LabelMap, Volume
from series_writer import Change, make_study, write_enhanced, write_series

# neither the number of a slice's voxels nor that of its rows is a multiple of eight, as bits are packed
SHAPE = (11, 23, 19)
SPACING_MM = (3.1, 0.9, 0.7)
ORIGIN_LPS_MM = (-91.5, 20.25, 413.0)
LEFT, POSTERIOR, SUPERIOR = np.eye(3)
ORGANS = parse_organs("1=liver,4=right kidney,5=left kidney,7=spleen,9=pancreas")
ALGORITHM = Algorithm("CISFA Bündel", "1.0", "0123456789abcdef" * 4)
DESCRIBED = segments_of_bundle(ORGANS, ALGORITHM)


def turned() -> np.ndarray:
    """Axes 17 degrees about no anatomical axis."""
    axis = np.array([2.0, -1.0, 1.5]) / np.linalg.norm([2.0, -1.0, 1.5])
    cross = np.cross(np.eye(3), axis)
    tilt = np.cos(0.3) * np.eye(3) + np.sin(0.3) * cross + (1 - np.cos(0.3)) * np.outer(axis, axis)
    return np.eye(3)[::-1] @ tilt


# directions in which slices, rows and columns run
POSITIONS = {
    "axial": (SUPERIOR, POSTERIOR, LEFT),
    "oblique": turned(),
    "sagittal": (-LEFT, -SUPERIOR, POSTERIOR),
    "coronal": (POSTERIOR, -SUPERIOR, LEFT),
    "feet first": (-SUPERIOR, POSTERIOR, -LEFT),
    "files from top to bottom": (-SUPERIOR, POSTERIOR, LEFT),
}


def geometry(position: str = "axial", shape: tuple[int, int, int] = SHAPE) -> Geometry:
    """A grid of :data:`POSITIONS`."""
    return Geometry.from_axes(
        shape, spacing_mm=SPACING_MM, origin_lps_mm=ORIGIN_LPS_MM, axes_lps=np.array(POSITIONS[position])
    )


def organ_voxels(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Liver in most slices, right kidney in two far apart, left kidney in one, spleen in few, no pancreas."""
    voxels = np.zeros(shape, np.uint8)
    slices, rows, columns = np.ogrid[: shape[0], : shape[1], : shape[2]]
    voxels[((slices - 4.2) / 4) ** 2 + ((rows - 9) / 7) ** 2 + ((columns - 12) / 6) ** 2 < 1] = 1
    voxels[[1, 9], 15:20, 2:7] = 4
    voxels[6, 3:6, 1:4] = 5
    voxels[7:9, 17:21, 11:18] = 7
    return voxels


@dataclass(frozen=True)
class SegmentedSeries:
    """A series in a folder with its label map.

    Attributes:
        folder: Or the file of an enhanced one.
        paths: Its files.
        series: As it is read.
        label_map: Its axes run as the writer's do, not always as the reader's.
        described: The label map's segments.
    """

    folder: Path
    paths: list[Path]
    series: DicomSeries
    label_map: LabelMap
    described: SegmentList = DESCRIBED


def segmented_series(
    folder: Path,
    *,
    position: str = "axial",
    modality: str = "CT",
    change: Change | None = None,
    voxels: np.ndarray | None = None,
) -> SegmentedSeries:
    """Write a classic series and make its label map."""
    grid = geometry(position)
    paths = write_series(folder, Volume(_intensities(), grid), modality=modality, study=make_study(), change=change)
    labels = organ_voxels() if voxels is None else voxels
    return SegmentedSeries(folder, paths, open_series(folder), LabelMap(labels, grid, "labels.nrrd"))


def segmented_enhanced(path: Path, *, position: str = "axial", modality: str = "MR") -> SegmentedSeries:
    """Write an enhanced multi-frame file, its frames in disorder, and make its label map."""
    grid, order = geometry(position), [3, 0, 7, 10, 1, 9, 2, 8, 4, 6, 5]
    write_enhanced(path, Volume(_intensities(), grid), modality=modality, order=order)
    return SegmentedSeries(path, [path], open_series(path), LabelMap(organ_voxels(), grid, "labels.nrrd"))


def _intensities() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 900, SHAPE, dtype=np.int16)
