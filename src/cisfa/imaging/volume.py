"""A volume and a label map: voxels together with the place where they lie."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import GeometryError
from cisfa.imaging.geometry import Geometry


@dataclass(frozen=True)
class SeriesFacts:
    """What a DICOM series says about itself, as far as a case needs it; empty for what it does not say.

    Attributes:
        modality: Modality (0008,0060): "CT", "MR", "PT" and others.
        laterality: "L" or "R", of Image Laterality (0020,0062) or Laterality (0020,0060).
        body_part: Body Part Examined (0018,0015).
        frame_of_reference_uid: (0020,0052); volumes that share it lie in one space.
        study_uid: Study Instance UID (0020,000D).
        series_uid: Series Instance UID (0020,000E).
        patient_keys: Digests of what identifies the patient, never that itself; cases that share one are one patient's.
    """

    modality: str = ""
    laterality: str = ""
    body_part: str = ""
    frame_of_reference_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    patient_keys: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Volume:
    """One scalar volume.

    Attributes:
        voxels: (slices, rows, columns), any real dtype; CT in HU, MR in the scanner's arbitrary units.
        geometry: Where the voxels lie.
        name: What to call it in messages: a file name, never a path.
        series: What its DICOM series says; None for a volume from another kind of file.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    name: str = "volume"
    series: SeriesFacts | None = None

    def __post_init__(self) -> None:
        _require_shape(self.voxels, self.geometry, self.name)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """One label value for each voxel; 0 is background.

    Attributes:
        voxels: (slices, rows, columns), unsigned integers.
        geometry: Where the voxels lie.
        name: What to call it in messages: a file name, never a path.
        frame_of_reference_uid: Of the DICOM series it belongs to; empty where that is not known.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    name: str = "label map"
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        _require_shape(self.voxels, self.geometry, self.name)
        if not np.issubdtype(self.voxels.dtype, np.unsignedinteger):
            raise TypeError(f"label maps hold unsigned integers, not {self.voxels.dtype}")


def _require_shape(voxels: NDArray[Any], geometry: Geometry, name: str) -> None:
    if voxels.shape != geometry.shape:
        raise GeometryError(f"{name}: the voxels have shape {voxels.shape}, the geometry {geometry.shape}.")
