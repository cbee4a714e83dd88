"""A region of interest: a box in patient coordinates, from the command line or a Slicer markups file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cisfa.errors import ConfigError, GeometryError
from cisfa.imaging.geometry import Geometry

# of a voxel
_ROUNDING = 1e-3

IndexBox = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Roi:
    """A box, oblique or not.

    Attributes:
        corners_lps_mm: Its eight corners, (8, 3).
    """

    corners_lps_mm: NDArray[np.float64]

    def index_box(self, geometry: Geometry) -> IndexBox:
        """The smallest block of voxels that holds the box, cut to the volume.

        A box whose faces lie on the borders between voxels, but for rounding, gets none of the voxels beyond.

        Raises:
            GeometryError: The box lies outside the volume.
        """
        indices = geometry.to_index(self.corners_lps_mm)
        first = np.floor(indices.min(axis=0) + 0.5 + _ROUNDING)
        last = np.maximum(np.ceil(indices.max(axis=0) - 0.5 - _ROUNDING), first)
        first, last = np.maximum(first, 0), np.minimum(last, np.array(geometry.shape) - 1)
        if (first > last).any():
            centre = self.corners_lps_mm.mean(axis=0)
            raise GeometryError(
                f"The region of interest (centre {centre.round(1).tolist()} mm, LPS) lies outside the volume. Draw it"
                " over the organs, in the volume's own coordinates."
            )
        return (
            slice(int(first[0]), int(last[0]) + 1),
            slice(int(first[1]), int(last[1]) + 1),
            slice(int(first[2]), int(last[2]) + 1),
        )


def parse_roi(text: str) -> Roi:
    """Read ``L0,L1,P0,P1,S0,S1`` (LPS mm, low and high along each axis) or the path of a ``.mrk.json`` with an ROI.

    Raises:
        ConfigError: The text is neither.
    """
    if text.lower().endswith(".json"):
        return _read_markups(Path(text))
    try:
        bounds = np.array([float(part) for part in text.split(",")]).reshape(3, 2)
    except ValueError as error:
        raise ConfigError(
            f"--roi {text}: write six numbers L0,L1,P0,P1,S0,S1 in mm, or the path of a markups file (.mrk.json)."
        ) from error
    if not np.isfinite(bounds).all() or (bounds[:, 0] >= bounds[:, 1]).any():
        raise ConfigError(f"--roi {text}: along each axis the first number must be the smaller one.")
    corners = np.array(np.meshgrid(*bounds)).reshape(3, 8).T
    return Roi(corners)


def _read_markups(path: Path) -> Roi:
    try:
        markups = json.loads(path.read_text(encoding="utf-8"))["markups"]
        corners = _corners(next(markup for markup in markups if markup["type"] == "ROI"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise ConfigError(f"{path} holds no ROI markup. Save one from Slicer's Markups module.") from error
    if not np.isfinite(corners).all() or (np.ptp(corners, axis=0) == 0).any():
        raise ConfigError(
            f"{path} holds an ROI that was not placed, or has no size. Draw it in Slicer and save it again."
        )
    return Roi(corners)


def _corners(markup: dict[str, Any]) -> NDArray[np.float64]:
    """Corners of an ROI, (8, 3) LPS mm; its orientation's columns are the directions of its edges."""
    half = np.array(markup["size"], float).reshape(3) / 2
    axes = np.array(markup.get("orientation", np.eye(3)), float).reshape(3, 3)
    centre = np.array(markup["center"], float).reshape(3)
    # Slicer writes the name; its early versions wrote the number
    to_lps = np.diag([-1.0, -1.0, 1.0]) if markup.get("coordinateSystem") in ("RAS", "0", 0) else np.eye(3)
    signs = np.array(np.meshgrid((-1, 1), (-1, 1), (-1, 1))).reshape(3, 8).T
    corners: NDArray[np.float64] = (centre + (signs * half) @ axes.T) @ to_lps
    return corners
