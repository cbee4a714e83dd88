"""A volume and a label map: voxels together with the place where they lie."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import GeometryError
from cisfa.imaging.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Volume:
    """One scalar volume.

    Attributes:
        voxels: (slices, rows, columns), any real dtype; CT in HU, MR in the scanner's arbitrary units.
        geometry: Where the voxels lie.
        name: What to call it in messages: a file name, never a path.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    name: str = "volume"

    def __post_init__(self) -> None:
        _require_shape(self.voxels, self.geometry, self.name)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """One label value for each voxel; 0 is background.

    Attributes:
        voxels: (slices, rows, columns), unsigned integers.
        geometry: Where the voxels lie.
        name: What to call it in messages: a file name, never a path.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    name: str = "label map"

    def __post_init__(self) -> None:
        _require_shape(self.voxels, self.geometry, self.name)
        if not np.issubdtype(self.voxels.dtype, np.unsignedinteger):
            raise TypeError(f"label maps hold unsigned integers, not {self.voxels.dtype}")


def _require_shape(voxels: NDArray[Any], geometry: Geometry, name: str) -> None:
    if voxels.shape != geometry.shape:
        raise GeometryError(f"{name}: the voxels have shape {voxels.shape}, the geometry {geometry.shape}.")
