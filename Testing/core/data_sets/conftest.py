"""Small imitations of what public data sets unpack to: blocks for organs, on a grid that lies askew in the patient."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cisfa.data_sets.choices import Choices
from cisfa.data_sets.preparation import Request, prepare
from cisfa.data_sets.record import Record
from cisfa.events import ignore
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map, write_volume

sys.path.append(str(Path(__file__).parents[2] / "dicom"))  # what writes DICOM series there

Block = tuple[slice, slice, slice]
# slices run to Superior, rows to Posterior, columns to Left; spacing 6 x 5 x 4 mm, so that a voxel is 0.12 mL
ABDOMEN: Mapping[str, Block] = {
    "liver": np.s_[4:9, 5:11, 3:11],
    "right kidney": np.s_[1:5, 15:19, 6:10],
    "left kidney": np.s_[1:5, 15:19, 20:24],
    "spleen": np.s_[5:9, 12:17, 23:28],
    "stomach": np.s_[5:9, 5:9, 14:20],
}
HEART: Mapping[str, Block] = {
    "myocardium": np.s_[2:8, 8:14, 18:20],
    "left ventricle": np.s_[2:8, 8:14, 20:25],
    "right ventricle": np.s_[2:8, 4:9, 9:15],
    "left atrium": np.s_[4:9, 15:20, 16:21],
    "right atrium": np.s_[4:9, 13:18, 7:12],
    "ascending aorta": np.s_[7:10, 9:12, 14:17],
    "pulmonary artery": np.s_[7:10, 5:8, 16:19],
}


@dataclass(frozen=True, eq=False)
class Patient:
    """An imitation of a case; no two are alike."""

    geometry: Geometry
    organs: Mapping[str, Block]
    seed: int = 0
    lowest: int = 80

    @property
    def volume(self) -> Volume:
        voxels = np.random.default_rng(self.seed).integers(self.lowest, 130, self.geometry.shape).astype(np.int16)
        return Volume(voxels, self.geometry)

    def labels(self, values: Mapping[str, int]) -> LabelMap:
        voxels = np.zeros(self.geometry.shape, np.uint16)
        for name, value in values.items():
            voxels[self.organs[name]] = value
        return LabelMap(voxels, self.geometry)

    def flipped(self, axis: int) -> "Patient":
        """The same voxels in a place that mirrors them: what a wrong header does."""
        matrix = self.geometry.index_to_lps.copy()
        matrix[:3, axis] *= -1
        return replace(self, geometry=Geometry(self.geometry.shape, matrix))

    def write(self, volume: Path, labels: Path | None = None, values: Mapping[str, int] | None = None) -> None:
        write_volume(self.volume, volume)
        if labels is not None:
            write_label_map(self.labels(values or {}), labels)


def geometry() -> Geometry:
    """Oblique: turned by 12 degrees about a line that is no anatomical axis."""
    axis = np.array([2.0, -1.0, 1.5]) / np.linalg.norm([2.0, -1.0, 1.5])
    cross = np.cross(np.eye(3), axis)
    turn = np.cos(0.2) * np.eye(3) + np.sin(0.2) * cross + (1 - np.cos(0.2)) * np.outer(axis, axis)
    return Geometry.from_axes(
        (10, 24, 30), spacing_mm=(6.0, 5.0, 4.0), origin_lps_mm=(-61.5, 20.25, 413.0), axes_lps=np.eye(3)[::-1] @ turn
    )


@pytest.fixture
def abdomen() -> Callable[[int], Patient]:
    """Make a patient with abdominal organs."""
    return lambda seed=0: Patient(geometry(), ABDOMEN, seed)


@pytest.fixture
def heart() -> Callable[[int], Patient]:
    """Make a patient with the parts of a heart."""
    return lambda seed=0: Patient(geometry(), HEART, seed)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Where a download is unpacked; people have accents and blanks in their paths."""
    folder = tmp_path / "Téléchargé ici"
    folder.mkdir()
    return folder


@pytest.fixture
def prepared(raw: Path, tmp_path: Path) -> Callable[..., Record]:
    """Prepare what lies in ``raw`` into ``tmp_path / "out"``; options of the request and its choices by name."""

    def run(data_set: str, *, resume: bool = False, out: str = "out", **options: Any) -> Record:
        choices = {name: options.pop(name) for name in ("modality", "sequence", "organs", "only") if name in options}
        return prepare(Request(data_set, Choices(**choices), **options), raw, tmp_path / out, ignore, resume=resume)

    return run


@pytest.fixture
def reasons() -> Callable[[Record], dict[str, str]]:
    """Name of each case that was left out to the words that are counted."""
    return lambda record: {name: why.what for name, why in record.left_out.items()}


@pytest.fixture
def labels_of_dataset(tmp_path: Path) -> Callable[[], dict[str, int]]:
    """The labels that ``dataset.json`` names."""

    def read() -> dict[str, int]:
        values = json.loads((tmp_path / "out" / "dataset.json").read_text(encoding="utf-8"))["labels"]
        assert isinstance(values, dict)
        return values

    return read


@pytest.fixture
def png() -> Callable[..., None]:
    """Write a picture: a mask of 8 or of 1 bit a pixel, or a colour one."""

    def write(path: Path, pixels: NDArray[np.uint8], *, kind: str = "8 bit") -> None:
        import struct
        import zlib

        rows, columns = pixels.shape[:2]
        depth, colour = {"8 bit": (8, 0), "1 bit": (1, 0), "colour": (8, 2)}[kind]
        lines = np.packbits(pixels > 0, axis=1) if kind == "1 bit" else pixels.reshape(rows, -1)
        if kind == "colour":
            lines = np.repeat(lines, 3, axis=1)
        data = b"".join(b"\0" + line.tobytes() for line in lines)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n")
            header = struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0)
            for kind_of_chunk, chunk in ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")):
                file.write(struct.pack(">I", len(chunk)) + kind_of_chunk + chunk)
                file.write(struct.pack(">I", zlib.crc32(kind_of_chunk + chunk)))

    return write
