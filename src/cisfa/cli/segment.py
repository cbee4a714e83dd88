"""``cisfa segment``: volumes and a bundle in, label maps out."""

import argparse
import os
import re
from pathlib import Path

from cisfa.events import Finished, Notice, Report

HELP = "segment volumes with a model bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="volumes (NIfTI, NRRD, MHA) or folders")
    parser.add_argument("--bundle", type=Path, required=True, metavar="B", help="model bundle, a folder or .zip")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE_OR_DIR",
        help="label map to write for one input, or a folder for label maps under the inputs' names",
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
    parser.add_argument("--overwrite", action="store_true", help="replace label maps that are there already")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command."""
    from cisfa.bundle.bundle_folder import open_bundle
    from cisfa.errors import BundleError, Cancelled, CisfaError, ConfigError, VolumeFileError
    from cisfa.imaging.roi import parse_roi
    from cisfa.imaging.volume import LabelMap
    from cisfa.imaging.volume_files import read_volume, write_label_map

    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size is {arguments.batch_size}; it must be at least 1.")
    roi = parse_roi(arguments.roi) if arguments.roi else None
    outputs = plan_outputs(arguments.inputs, arguments.output, overwrite=arguments.overwrite)
    bundle = open_bundle(arguments.bundle)
    wanted = bundle.manifest.target.modality
    if arguments.modality not in (None, wanted):
        raise BundleError(
            f"The bundle {bundle.manifest.name!r} segments {wanted}, but the volumes are {arguments.modality}. Choose a"
            f" bundle whose target is {arguments.modality}."
        )
    # torch takes two seconds to import, so what can go wrong without it has been looked at before
    from cisfa.inference.device import choose_device
    from cisfa.inference.predictor import PredictionOptions, Predictor

    options = PredictionOptions(
        batch_size=arguments.batch_size,
        largest_component=arguments.largest_component,
        trust_modality=arguments.modality is not None,
    )
    predictor = Predictor(bundle, choose_device(arguments.device), options, report)
    written, failed = [], []
    for volume_path, output in outputs.items():
        try:
            label_map = predictor.segment(read_volume(volume_path), roi)
        except Cancelled:
            raise
        except CisfaError as error:
            if len(outputs) == 1:
                raise
            failed.append(volume_path)
            report(Notice(f"{volume_path} is left out: {error}"))
            continue
        write_label_map(LabelMap(label_map.voxels, label_map.geometry, output.name), output, like=volume_path)
        written.append(str(output))
    if failed:
        raise VolumeFileError(
            f"{len(failed)} of {len(outputs)} volumes could not be segmented, for the reasons above:"
            f" {', '.join(map(str, failed))}. Label maps were written for the other {len(written)}."
        )
    report(Finished(tuple(written)))


def plan_outputs(inputs: list[Path], output: Path, *, overwrite: bool) -> dict[Path, Path]:
    """Where each input's label map goes; decided before anything is computed.

    Raises:
        VolumeFileError: Nothing to do, two inputs with one output, or an output that is there already or cannot be
            written.
    """
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.volume_files import WRITABLE_SUFFIXES, stem_of, suffix_of

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
        if (target.exists() or target.is_symlink()) and not overwrite:
            raise VolumeFileError(f"{target} exists already. Pass --overwrite to replace it, or choose another output.")
    _require_writable(output.parent if names_a_file else output)
    return planned


def _volumes(inputs: list[Path]) -> list[Path]:
    """The inputs, with the volumes in a folder for the folder; hidden files are no volumes (macOS writes ._names)."""
    from cisfa.errors import VolumeFileError
    from cisfa.imaging.volume_files import suffix_of

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


def _require_writable(folder: Path) -> None:
    """Raise before minutes of work what would be found out after them."""
    from cisfa.errors import VolumeFileError

    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    if there.exists() and not there.is_dir():
        raise VolumeFileError(f"{folder} cannot be a folder: {there} is a file. Choose another output.")
    if not os.access(there, os.W_OK):
        raise VolumeFileError(f"{there} cannot be written to. Choose another output.")
