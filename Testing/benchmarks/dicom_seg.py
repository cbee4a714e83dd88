"""What `cisfa export-seg` costs from process start to file, and how large the file is.

    python Testing/benchmarks/dicom_seg.py [--slices 300]

The goal: four organs on a 512x512x300 CT of 300 files, on two CPU cores, in at most 5 s and 1.5 GiB.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil

from cisfa.dicom.segment_list import Algorithm, segments_of_bundle, write_segment_list
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.imaging.volume_files import write_label_map
from measuring import ROOT, measure, parser, show

sys.path.append(str(ROOT / "Testing" / "dicom"))
from series_writer import write_series

# centre and radii of each organ, as shares of the slices, rows and columns: 80 to 150 of 300 slices
ELLIPSOIDS = {
    "1=liver": ((0.50, 0.43, 0.64), (0.250, 0.18, 0.21)),
    "2=right kidney": ((0.40, 0.59, 0.35), (0.165, 0.08, 0.08)),
    "3=left kidney": ((0.42, 0.59, 0.70), (0.150, 0.08, 0.07)),
    "4=spleen": ((0.63, 0.49, 0.29), (0.135, 0.10, 0.08)),
}


def main() -> None:
    """Measure both kinds."""
    made = parser(__doc__)
    made.add_argument("--slices", type=int, default=300)
    arguments = made.parse_args()
    shape = (arguments.slices, 512, 512)
    geometry = Geometry.from_axes(shape, spacing_mm=(2.0, 0.8, 0.8), origin_lps_mm=(-205.0, -190.0, -500.0))
    labels = organs_in(shape)
    rows = [{"what": "the label map's voxels", "file_mib": mebibytes(labels.nbytes)}]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_series(folder / "series", Volume(noise(shape), geometry))
        write_label_map(LabelMap(labels, geometry), folder / "labels.nrrd")
        rows.append({"what": "labels.nrrd", "file_mib": mebibytes((folder / "labels.nrrd").stat().st_size)})
        organs = segments_of_bundle(parse_organs(",".join(ELLIPSOIDS)), Algorithm("benchmark", "1.0", "0" * 64))
        write_segment_list(organs, folder / "segments.json")
        for kind in ("binary", "labelmap"):
            output = folder / f"{kind}.dcm"
            command = [
                sys.executable, "-m", "cisfa", "export-seg", str(folder / "labels.nrrd"), "--kind", kind,
                "--series", str(folder / "series"), "--segments", str(folder / "segments.json"),
                "--output", str(output), "--overwrite",
            ]  # fmt: skip
            measure(command)  # once to fill the disk cache
            before = psutil.Process().cpu_times()
            measured = measure(command)
            after = psutil.Process().cpu_times()  # of children too, but on Windows
            rows.append(
                {
                    "what": f"export-seg --kind {kind}",
                    **measured,
                    "user_s": round(after.children_user - before.children_user, 2),
                    "system_s": round(after.children_system - before.children_system, 2),
                    "file_mib": mebibytes(output.stat().st_size),
                }
            )
    size = "x".join(str(count) for count in reversed(shape))
    show(f"four organs on a CT of {size} in {arguments.slices} files", rows, arguments)


def organs_in(shape: tuple[int, int, int]) -> np.ndarray:
    """Four ellipsoids, one label each."""
    labels = np.zeros(shape, np.uint8)
    grid = np.ogrid[: shape[0], : shape[1], : shape[2]]
    for label, (centre, radii) in enumerate(ELLIPSOIDS.values(), 1):
        parts = zip(grid, shape, centre, radii, strict=True)
        labels[sum(((axis / count - middle) / radius) ** 2 for axis, count, middle, radius in parts) < 1] = label
    return labels


def noise(shape: tuple[int, int, int]) -> np.ndarray:
    """Intensities of no meaning, which an export does not read."""
    return np.random.default_rng(0).integers(-1000, 1000, size=shape, dtype=np.int16)


def mebibytes(count: int) -> float:
    """Bytes in MiB."""
    return round(count / 2**20, 2)


if __name__ == "__main__":
    main()
