"""Image series in DICOM: found, understood and checked by their headers, then read as one volume."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import SeriesFacts, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice of a series.

    Attributes:
        file: Index into :attr:`DicomSeries.files`.
        number: Which frame of the file, from 0.
        slope: What a stored value is multiplied by.
        intercept: What is added then.
    """

    file: int
    number: int
    slope: float
    intercept: float


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """One image series whose slices make a volume.

    Attributes:
        files: Its files; each holds one frame or more.
        headers: What each file says, without its pixels.
        frames: By position along the slices' normal (row direction x column direction).
        geometry: Of the volume: slice k is frames[k].
        facts: What it says about itself.
        name: What to call it in messages.
    """

    files: tuple[Path, ...]
    headers: "tuple[Dataset, ...]"
    frames: tuple[Frame, ...]
    geometry: Geometry
    facts: SeriesFacts
    name: str


def open_series(place: Path | Iterable[Path]) -> DicomSeries:
    """Read and check the headers of a series.

    Args:
        place: A folder with one image series; a file, which stands for its series in its folder; or the series' files.

    Raises:
        VolumeFileError: There is none or more than one, or its slices make no volume; the message says why.
    """
    raise NotImplementedError


def read_voxels(series: DicomSeries) -> NDArray[Any]:
    """The series' values, rescaled, (slices, rows, columns).

    Raises:
        VolumeFileError: A file is damaged, or its pixels are of no kind that is known.
    """
    raise NotImplementedError


def read_series(place: Path | Iterable[Path]) -> Volume:
    """Read a series as a volume.

    Raises:
        VolumeFileError: As :func:`open_series` and :func:`read_voxels`.
    """
    series = open_series(place)
    return Volume(np.asarray(read_voxels(series)), series.geometry, series.name, series.facts)
