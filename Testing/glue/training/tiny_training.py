"""A real training of three steps on two drawn domains."""

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map, write_volume

SETTINGS = (
    'organs={"2":"spleen","7":"left kidney"}',
    "preprocessing.size=32",
    "networks.segmenter_width=2",
    "schedule.steps=3",
)


def train_tiny(folder: Path) -> Path:
    """Train ``runs/tiny`` below a folder; its cases are in ``ct`` and ``mr``, with labels.

    Returns:
        The run's folder.
    """
    for domain, low in (("ct", -900), ("mr", 0)):
        for number in range(2):
            draw_case(folder / domain, f"DOE^JANE {domain} {number}", low)
    words = [
        "train",
        "--source",
        str(folder / "ct"),
        "--target",
        str(folder / "mr"),
        "--run",
        str(folder / "runs/tiny"),
    ]
    words += ["--method", "source-only", "--device", "cpu"]
    assignments = [word for setting in SETTINGS for word in ("--set", setting)]
    subprocess.run([sys.executable, "-m", "cisfa", *words, *assignments], check=True, capture_output=True, timeout=120)
    return folder / "runs" / "tiny"


def draw_case(folder: Path, name: str, low: int) -> None:
    """Noise with two blocks as organs; anisotropic."""
    geometry = Geometry.from_axes((4, 40, 33), spacing_mm=(5.0, 1.2, 1.7), origin_lps_mm=(-20, 3, 40))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1:3, 5:20, 4:15], labels[1:3, 22:35, 16:30] = 2, 7
    voxels = np.random.default_rng(zlib.crc32(name.encode())).integers(low, low + 1000, geometry.shape).astype(np.int16)
    write_volume(Volume(voxels, geometry), folder / "images" / f"{name}.nrrd")
    write_label_map(LabelMap(labels, geometry), folder / "labels" / f"{name}.nrrd")
