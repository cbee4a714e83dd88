"""What `cisfa segment` costs from process start to file, with the full-width segmenter (random weights).

    python Testing/benchmarks/segmentation.py [--large]

The goals: a 256x256x36 MR volume on two CPU cores in at most 10 s and 2 GiB; a 512x512x600 CT (--large) in bounded
memory; `cisfa --help` in 0.3 s.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from cisfa.bundle.bundle_folder import write_bundle
from cisfa.bundle.manifest import Domain, Manifest, SegmenterSpec, TrainingSummary, utc_now
from cisfa.config import ABDOMEN, Modality, PreprocessingConfig
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.volume import Volume
from cisfa.imaging.volume_files import write_volume
from cisfa.networks.segmenter import Segmenter
from measuring import measure, parser, show


def main() -> None:
    """Measure the commands."""
    made = parser(__doc__)
    made.add_argument("--large", action="store_true", help="also the 512x512x600 CT (minutes on a CPU)")
    made.add_argument("--device", default="cpu", choices=["auto", "cpu", "cuda", "mps"])
    arguments = made.parse_args()
    cisfa = [sys.executable, "-m", "cisfa"]
    measure([*cisfa, "--help"])  # once to fill the disk cache
    rows = [{"what": "cisfa --help", **measure([*cisfa, "--help"])}]
    volumes: list[tuple[Modality, tuple[int, int, int]]] = [("MR", (36, 256, 256))]
    if arguments.large:
        volumes.append(("CT", (600, 512, 512)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for modality, shape in volumes:
            bundle = full_width_bundle(folder / f"{modality}.zip", modality)
            volume = noise_volume(folder / f"{modality}.nrrd", modality, shape)
            output = folder / "out.nrrd"
            command = [*cisfa, "segment", str(volume), "--bundle", str(bundle), "--output", str(output), "--overwrite"]
            size = "x".join(str(count) for count in reversed(shape))
            rows.append({"what": f"segment {modality} {size}", **measure([*command, "--device", arguments.device])})
    show(f"cisfa segment, full width, {arguments.device}", rows, arguments)


def full_width_bundle(path: Path, modality: Modality) -> Path:
    """A bundle of the paper's size with random weights: as slow as a trained one."""
    torch.manual_seed(0)
    organs = organs_from_names(ABDOMEN)
    segmenter = Segmenter(classes=len(organs) + 1)
    domain = Domain(name=f"noise {modality}", modality=modality, cases=0)
    manifest = Manifest(
        name="benchmark", version="1.0", description="Random weights.", created=utc_now(), organs=organs,
        source=domain, target=replace(domain), preprocessing=PreprocessingConfig(),
        segmenter=SegmenterSpec(width=64, classes=len(organs) + 1), method="none",
        training=TrainingSummary(
            steps=0, epochs=0, seed=0, batch_size=1, source_cases=0, target_cases=0, minutes=0.0, hardware="none"
        ),
        licence="none", versions={},
    )  # fmt: skip
    weights = {name: value.contiguous() for name, value in segmenter.state_dict().items()}
    return write_bundle(manifest, safetensors.torch.save(weights), path)


def noise_volume(path: Path, modality: Modality, shape: tuple[int, int, int]) -> Path:
    """A body-sized block of noise in air."""
    low, high = (-1000, 1000) if modality == "CT" else (0, 1000)
    voxels = np.full(shape, low, dtype=np.int16)
    margin = shape[1] // 16
    inside = np.random.default_rng(0).integers(100, high, size=shape[1:], dtype=np.int16)
    voxels[:, margin:-margin, margin:-margin] = inside[margin:-margin, margin:-margin]
    write_volume(Volume(voxels, Geometry.from_axes(shape, spacing_mm=(2.0, 0.8, 0.8))), path)
    return path


if __name__ == "__main__":
    main()
