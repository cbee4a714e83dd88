"""``cisfa segment``: volumes and a bundle in, label maps out."""

import argparse
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.events import Finished, Notice, Progress, Report

if TYPE_CHECKING:
    from cisfa.bundle.bundle_folder import Bundle
    from cisfa.evaluation.organ_measurements import OrganMeasurement
    from cisfa.imaging.roi import Roi
    from cisfa.imaging.volume import LabelMap
    from cisfa.inference.predictor import Predictor

HELP = "segment volumes with a model bundle"
_LOADING, _MEASURING = "loading the model", "measuring"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="volumes (NIfTI, NRRD, MHA) or folders")
    parser.add_argument("--bundle", type=Path, required=True, metavar="B", help="model bundle, a folder or .zip")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE_OR_DIR",
        help="label map to write for one input, or a folder for label maps under the inputs' names",
    )  # fmt: skip
    parser.add_argument(
        "--report", type=Path, metavar="FILE_OR_DIR",
        help="also write what was found of each organ: a .json file for one label map, or a folder for several",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    # "-90,90,..." is a value; argparse by itself takes only a plain negative number for one, all else for an option
    parser._negative_number_matcher = re.compile(r"-[\d.][\d.,eE+-]*$")
    parser.add_argument("--roi", metavar="ROI", help="box to segment in: L0,L1,P0,P1,S0,S1 in LPS mm, or a .mrk.json")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="slices at a time (default 8)")
    parser.add_argument("--largest-component", action="store_true", help="keep only each organ's largest part")
    parser.add_argument(
        "--modality", choices=["CT", "MR"], help="what the volumes are, when their intensities look otherwise"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace label maps and reports that are there already"
    )


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command."""
    from cisfa.bundle.bundle_folder import open_bundle
    from cisfa.errors import BundleError, ConfigError
    from cisfa.imaging.roi import parse_roi

    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size is {arguments.batch_size}; it must be at least 1.")
    roi = parse_roi(arguments.roi) if arguments.roi else None
    outputs = plan_outputs(arguments.inputs, arguments.output, overwrite=arguments.overwrite)
    organ_reports: dict[Path, Path] = {}
    if arguments.report:
        names_a_file = arguments.output in outputs.values()
        organ_reports = plan_organ_reports(
            outputs, arguments.report, names_a_file=names_a_file, overwrite=arguments.overwrite
        )
    bundle = open_bundle(arguments.bundle)
    wanted = bundle.manifest.target.modality
    if arguments.modality not in (None, wanted):
        raise BundleError(
            f"The bundle {bundle.manifest.name!r} segments {wanted}, but the volumes are {arguments.modality}. Choose a"
            f" bundle whose target is {arguments.modality}."
        )
    # torch takes seconds to import, so what can go wrong without it has been looked at before
    report(Progress(_LOADING, 0.0))
    from cisfa.inference.device import choose_device
    from cisfa.inference.predictor import PredictionOptions, Predictor

    options = PredictionOptions(
        batch_size=arguments.batch_size,
        largest_component=arguments.largest_component,
        trust_modality=arguments.modality is not None,
    )
    predictor = Predictor(bundle, choose_device(arguments.device, report), options, report)
    report(Progress(_LOADING, 1.0))
    _Work(bundle, predictor, roi, report).segment_all(outputs, organ_reports)


@dataclass(frozen=True)
class _Result:
    """What was found in one volume; the volume itself is let go before the next one is read."""

    label_map: "LabelMap"
    measurements: "tuple[OrganMeasurement, ...]"
    seconds: float


@dataclass(frozen=True)
class _Work:
    bundle: "Bundle"
    predictor: "Predictor"
    roi: "Roi | None"
    report: Report

    def segment_all(self, outputs: Mapping[Path, Path], organ_reports: Mapping[Path, Path]) -> None:
        """Segment every volume that can be segmented.

        Args:
            outputs: Volume to the place of its label map.
            organ_reports: Volume to the place of its report; empty where none is wanted.

        Raises:
            CisfaError: The only volume cannot be segmented, some of several cannot, or a result cannot be written.
        """
        from cisfa.errors import Cancelled, CisfaError, VolumeFileError

        written, failed = [], []
        for path, output in outputs.items():
            try:
                result = self._segment(path, is_measured=path in organ_reports)
            except Cancelled:
                raise
            except CisfaError as error:
                if len(outputs) == 1:
                    raise
                failed.append(path)
                self.report(Notice(f"{path} is left out: {error}"))
                continue
            self._write(result, output, organ_reports.get(path), like=path)
            written.append(str(output))
        if failed:
            raise VolumeFileError(
                f"{len(failed)} of {len(outputs)} volumes could not be segmented, for the reasons above:"
                f" {', '.join(map(str, failed))}. Label maps were written for the other {len(written)}."
            )
        self.report(Finished(tuple(written)))

    def _segment(self, path: Path, *, is_measured: bool) -> _Result:
        from cisfa.imaging.volume_files import read_volume

        started = time.monotonic()
        volume = read_volume(path)
        label_map = self.predictor.segment(volume, self.roi)
        seconds = time.monotonic() - started
        if not is_measured:
            return _Result(label_map, (), seconds)
        from cisfa.evaluation.organ_measurements import measure_organs

        self.report(Progress(_MEASURING, 0.0))
        measurements = measure_organs(label_map, volume, self.bundle.manifest.organs)
        self.report(Progress(_MEASURING, 1.0))
        return _Result(label_map, measurements, seconds)

    def _write(self, result: _Result, output: Path, organ_report: Path | None, *, like: Path) -> None:
        from cisfa.imaging.volume import LabelMap
        from cisfa.imaging.volume_files import write_label_map
        from cisfa.inference.device import describe_device
        from cisfa.inference.organ_report import write_organ_report

        label_map = result.label_map
        write_label_map(LabelMap(label_map.voxels, label_map.geometry, output.name), output, like=like)
        if organ_report is not None:
            device = describe_device(self.predictor.device)
            write_organ_report(organ_report, self.bundle, result.measurements, device=device, seconds=result.seconds)


def plan_outputs(inputs: list[Path], output: Path, *, overwrite: bool) -> dict[Path, Path]:
    """Where each input's label map goes; decided before anything is computed.

    Raises:
        VolumeFileError: Nothing to do, two inputs with one output, or an output that is there already or cannot be
            written.
    """
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.volume_names import WRITABLE_SUFFIXES, stem_of, suffix_of

    volumes = _volumes(inputs)
    names_a_file = suffix_of(output) is not None and not output.is_dir()
    if names_a_file and len(volumes) > 1:
        raise VolumeFileError(f"--output {output} is one file, but there are {len(volumes)} volumes. Name a folder.")
    planned: dict[Path, Path] = {}
    for path in volumes:
        suffix = suffix_of(path) or ".nii.gz"
        suffix = suffix if suffix in WRITABLE_SUFFIXES else {".nhdr": ".nrrd", ".mhd": ".mha"}[suffix]
        planned[path] = output if names_a_file else output / f"{stem_of(path)}{suffix}"
    _require_distinct(planned)
    for path, target in planned.items():
        if suffix_of(target) not in WRITABLE_SUFFIXES:
            raise VolumeFileError(
                f"{target}: cannot write this kind of file; use one of {', '.join(WRITABLE_SUFFIXES)}."
            )
        if target.exists() and path.exists() and target.samefile(path):
            raise VolumeFileError(f"{target} is the input itself. Choose another output.")
        _require_free(target, overwrite=overwrite)
    _require_writable(output.parent if names_a_file else output)
    return planned


def plan_organ_reports(
    outputs: Mapping[Path, Path], place: Path, *, names_a_file: bool, overwrite: bool
) -> dict[Path, Path]:
    """Where each input's report goes; decided before anything is computed.

    Args:
        outputs: Each input's label map, as :func:`plan_outputs` gives them.
        place: The report of the one label map, or a folder for reports under the label maps' names.
        names_a_file: Whether a file was named for the one label map; otherwise ``place`` is a folder too.
        overwrite: Whether reports that are there already may be replaced.

    Raises:
        VolumeFileError: Two label maps with one report, or a report that is there already or cannot be written.
    """
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.volume_names import stem_of
    from cisfa.inference.organ_report import REPORT_SUFFIX

    looks_like_a_file = place.suffix.lower() == REPORT_SUFFIX and not place.is_dir()
    if looks_like_a_file and not names_a_file:
        raise VolumeFileError(f"--report {place} is one file, but --output is a folder. Name a folder for reports too.")
    if names_a_file and not looks_like_a_file and not place.is_dir():
        raise VolumeFileError(f"--report {place}: name a file that ends in {REPORT_SUFFIX}, or a folder that is there.")
    planned = {
        path: place if looks_like_a_file else place / f"{stem_of(target)}{REPORT_SUFFIX}"
        for path, target in outputs.items()
    }
    _require_distinct(planned)
    for target in planned.values():
        _require_free(target, overwrite=overwrite)
    _require_writable(place.parent if looks_like_a_file else place)
    return planned


def _volumes(inputs: list[Path]) -> list[Path]:
    """The inputs, with the volumes in a folder for the folder; hidden files are no volumes (macOS writes ._names)."""
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.volume_names import suffix_of

    volumes: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            volumes.append(path)
            continue
        entries = sorted(entry for entry in path.iterdir() if suffix_of(entry) and not entry.name.startswith("."))
        found = [entry for entry in entries if not entry.is_dir()]
        if not found:
            raise VolumeFileError(f"{path} holds no volumes.")
        volumes += found
    return volumes


def _require_distinct(planned: dict[Path, Path]) -> None:
    from cisfa.errors import VolumeFileError

    first: dict[str, Path] = {}
    for path, target in planned.items():
        name = str(target).casefold()  # on Windows and macOS, names that differ by capitals are one file
        if name in first:
            raise VolumeFileError(
                f"{first[name]} and {path} would both become {target}. Segment them into two folders."
            )
        first[name] = path


def _require_free(target: Path, *, overwrite: bool) -> None:
    from cisfa.errors import VolumeFileError

    if target.is_dir():
        raise VolumeFileError(f"{target} is a folder. Choose another output.")
    if (target.exists() or target.is_symlink()) and not overwrite:
        raise VolumeFileError(f"{target} exists already. Pass --overwrite to replace it, or choose another output.")


def _require_writable(folder: Path) -> None:
    """Raise before minutes of work what would be found out after them."""
    from cisfa.errors import VolumeFileError

    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    if there.exists() and not there.is_dir():
        raise VolumeFileError(f"{folder} cannot be a folder: {there} is a file. Choose another output.")
    if not os.access(there, os.W_OK):
        raise VolumeFileError(f"{there} cannot be written to. Choose another output.")
