"""``cisfa export-seg``: a label map and the series it was made from in, a DICOM segmentation out."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.events import Finished, Progress, Report

if TYPE_CHECKING:
    from cisfa.dicom.segment_list import SegmentList
    from cisfa.imaging.dicom_series import DicomSeries

HELP = "write a label map as a DICOM segmentation that belongs to the series it was made from"
_SUFFIX = ".dcm"
_READING, _WRITING = "reading", "writing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("label_map", type=Path, metavar="LABELMAP", help="label map (NIfTI, NRRD, MHA)")
    series = parser.add_mutually_exclusive_group(required=True)
    series.add_argument(
        "--series", type=Path, metavar="DIR_OR_FILE", help="folder of the DICOM series, or one of its files"
    )
    series.add_argument(
        "--series-files",
        type=Path,
        metavar="FILE",
        help="text file (UTF-8) with the paths of the series' files, one a line",
    )
    meaning = parser.add_mutually_exclusive_group(required=True)
    meaning.add_argument("--bundle", type=Path, metavar="B", help="model bundle that made the label map")
    meaning.add_argument(
        "--segments", type=Path, metavar="FILE", help="list of segments (.json), as 3D Slicer's module writes it"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="DICOM file to write (.dcm)")
    parser.add_argument(
        "--kind", choices=["binary", "labelmap"], default="binary",
        help="one bit for each voxel and segment, which every viewer reads (binary, the default); or one small number"
        " for each voxel, as the standard has it since 2024 (labelmap)",
    )  # fmt: skip
    parser.add_argument(
        "--edited", action="store_true", help="somebody has edited the label map since the bundle made it"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there already")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Write the segmentation.

    Raises:
        ExportError: An argument makes no sense, the output is there already, or the label map cannot be exported.
        VolumeFileError: The label map or the series cannot be read, or the output cannot be written.
        BundleError: The bundle cannot be read.
    """
    from cisfa.dicom.export_checks import require_exportable, require_highdicom, require_identified

    _require_usable(arguments.output, overwrite=arguments.overwrite)
    described = _described(arguments)
    require_exportable(described)
    require_highdicom()
    report(Progress(_READING, 0.0))
    series = _series(arguments)
    require_identified(series)
    _require_no_source(arguments.output, series)
    report(Progress(_READING, 0.5))
    from cisfa.imaging.volume_files import read_label_map

    label_map = read_label_map(arguments.label_map)
    report(Progress(_READING, 1.0))
    from cisfa.dicom.segmentation_object import write_segmentation

    written = write_segmentation(
        label_map,
        series,
        described,
        arguments.output,
        kind=arguments.kind,
        on_progress=lambda share: report(Progress(_WRITING, share)),
    )
    report(Finished((str(written),)))


def _require_usable(output: Path, *, overwrite: bool) -> None:
    from cisfa.errors import ExportError

    if output.suffix.lower() != _SUFFIX:
        raise ExportError(f"--output {output}: name a file that ends in {_SUFFIX}, such as {output.stem}{_SUFFIX}.")
    if os.path.isdir(output):  # noqa: PTH112 - unlike Path.is_dir, it never raises
        raise ExportError(f"{output} is a folder. Choose another output.")
    if os.path.lexists(output) and not overwrite:
        raise ExportError(f"{output} exists already. Pass --overwrite to replace it, or choose another output.")


def _described(arguments: argparse.Namespace) -> "SegmentList":
    from cisfa.bundle.manifest_file import identify_bundle
    from cisfa.dicom.segment_list import Algorithm, read_segment_list, segments_of_bundle
    from cisfa.errors import ExportError

    if arguments.segments is not None:
        if arguments.edited:
            raise ExportError(
                "--edited goes with --bundle; the list of --segments says itself who drew each segment. Leave --edited"
                " out."
            )
        return read_segment_list(arguments.segments)
    manifest, checksum = identify_bundle(arguments.bundle)
    algorithm = Algorithm(manifest.name, manifest.version, checksum)
    return segments_of_bundle(manifest.organs, algorithm, "SEMIAUTOMATIC" if arguments.edited else "AUTOMATIC")


def _series(arguments: argparse.Namespace) -> "DicomSeries":
    from cisfa.imaging.dicom_series import open_series

    if arguments.series is not None:
        return open_series(arguments.series)
    return open_series(_listed_files(arguments.series_files))


def _listed_files(path: Path) -> list[Path]:
    from cisfa.errors import ExportError
    from cisfa.whole_files import reason_of

    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{path} is no list of the series' files: {reason_of(error)}. It must be UTF-8 text with one path a line."
        ) from error
    files = [Path(line.strip()) for line in lines if line.strip()]
    if any("\0" in str(file) for file in files):
        raise ExportError(f"{path} is no list of the series' files: it holds a NUL. It must be UTF-8 text.")
    if not files:
        raise ExportError(f"{path} lists no files. It must be UTF-8 text with one path a line.")
    return files


def _require_no_source(output: Path, series: "DicomSeries") -> None:
    from cisfa.errors import ExportError

    if os.path.exists(output) and any(file.exists() and file.samefile(output) for file in series.files):  # noqa: PTH110
        raise ExportError(f"{output} is an image of the series itself. Choose another output.")
    folder = output.parent.resolve()
    if any(file.parent.resolve() == folder for file in series.files):
        raise ExportError(
            f"{output} would lie among the files of the series. Choose an output outside of {output.parent}."
        )
