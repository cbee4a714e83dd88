"""Other people's programs that judge and read DICOM segmentations; what is not installed skips the test, by name."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map


def standard_errors(path: Path) -> list[str]:
    """What dciodvfy (dicom3tools) finds against the standard; Debian's knows nothing that is newer than 2022."""
    return [line for line in _lines("dciodvfy", path) if line.startswith("Error")]


def inconsistencies(paths: list[Path]) -> list[str]:
    """What dcentvfy (dicom3tools) finds that one patient, study or frame of reference has two values for."""
    return [line for line in _lines("dcentvfy", *paths) if line.startswith("Error")]


def read_with_dcmqi(path: Path, folder: Path) -> tuple[LabelMap, list[dict[str, Any]]]:
    """What 3D Slicer makes of a segmentation: dcmqi is its reader.

    Args:
        path: A segmentation.
        folder: Is made, for what dcmqi writes.

    Returns:
        The label map, cropped to the frames that there are; and what the file says of each segment.
    """
    program = _program("segimage2itkimage", "dcmqi")
    folder.mkdir()
    command = [program, "--inputDICOM", str(path), "--outputDirectory", str(folder), "--mergeSegments"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    (image,) = folder.glob("*.nrrd")
    return read_label_map(image), [segment for group in meta["segmentAttributes"] for segment in group]


def read_with_highdicom(path: Path) -> tuple[LabelMap, list[Any]]:
    """What highdicom makes of a segmentation: segment numbers on its own grid; and its segment descriptions."""
    from highdicom.seg import segread

    segmentation = segread(path)
    numbers = [number for number in segmentation.segment_numbers if number]
    volume = segmentation.get_volume(combine_segments=True, relabel=False, allow_missing_positions=True)
    voxels = np.asarray(volume.array)
    grid = Geometry(voxels.shape, volume.affine)
    return LabelMap(voxels.astype(np.uint16), grid, path.name), [
        segmentation.get_segment_description(number) for number in numbers
    ]


def brought_onto(found: LabelMap, grid: Geometry, labels: dict[int, int] | None = None) -> np.ndarray:
    """The voxels of one grid put where they lie in another one, which must have voxels there.

    Args:
        found: To be brought.
        grid: To bring it onto.
        labels: What each value becomes; itself by default.
    """
    indices = np.argwhere(found.voxels)
    places = grid.to_index(found.geometry.to_lps(indices))
    nearest = np.rint(places).astype(int)
    assert np.abs(places - nearest).max(initial=0) < 0.02
    voxels = np.zeros(grid.shape, np.uint16)
    values = found.voxels[tuple(indices.T)]
    voxels[tuple(nearest.T)] = values if labels is None else [labels[int(value)] for value in values]
    assert np.count_nonzero(voxels) == len(indices)
    return voxels


def _lines(name: str, *paths: Path) -> list[str]:
    command = [_program(name, "dicom3tools"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=120)
    return (done.stdout + done.stderr).splitlines()


def _program(name: str, package: str) -> str:
    beside = Path(sys.executable).parent
    found = shutil.which(name) or shutil.which(name, path=str(beside))
    if found is None:
        pytest.skip(f"{name} of {package} is not installed")
    return found
