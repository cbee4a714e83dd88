"""``cisfa segment``: volumes and a bundle in, label maps out, and DICOM segmentations where they are wanted."""

import argparse
import re
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.events import Progress, Report

if TYPE_CHECKING:
    from cisfa.bundle.bundle_folder import Bundle
    from cisfa.cli.segment_work import Export, Plan
    from cisfa.pacs.address import DicomWebService, DimseNode, SeriesAddress

HELP = "segment volumes with a model bundle"
_LOADING = "loading the model"
_NOWHERE = "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT",
        help="volumes (NIfTI, NRRD, MHA), DICOM series (a folder or one of its files), folders of these, or series in a"
        " PACS (dicomweb://HOST/PATH/studies/UID/series/UID)",
    )  # fmt: skip
    parser.add_argument("--bundle", type=Path, required=True, metavar="B", help="model bundle, a folder or .zip")
    parser.add_argument(
        "--output", type=Path, metavar="FILE_OR_DIR",
        help="label map to write for one input, or a folder for label maps under the inputs' names; may be left out"
        " when all results are stored in a PACS",
    )  # fmt: skip
    parser.add_argument(
        "--report", type=Path, metavar="FILE_OR_DIR",
        help="also write what was found of each organ: a .json file for one label map, or a folder for several",
    )  # fmt: skip
    _add_dicom_arguments(parser)
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


def _add_dicom_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dicom-seg", action="store_true",
        help="also write a DICOM segmentation beside each label map (.dcm); the inputs must be DICOM series",
    )  # fmt: skip
    parser.add_argument(
        "--kind", default="binary", choices=["binary", "labelmap"],
        help="of the DICOM segmentations: binary, which every viewer reads (default), or labelmap (Supplement 243)",
    )  # fmt: skip
    parser.add_argument(
        "--store", metavar="ADDRESS",
        help="send each DICOM segmentation there: dicomweb://HOST/PATH, dimse://HOST:PORT/AET; a series that came from"
        f" a PACS goes back there by default, unless this is {_NOWHERE}",
    )  # fmt: skip


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command."""
    from cisfa.errors import ConfigError
    from cisfa.imaging.roi import parse_roi

    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size is {arguments.batch_size}; it must be at least 1.")
    roi = parse_roi(arguments.roi) if arguments.roi else None
    with ExitStack() as temporary:
        plan = _plan(arguments, temporary)
        bundle, export = _open(arguments, is_exported=bool(plan.segmentations))
        # torch takes seconds to import, so what can go wrong without it has been looked at before
        report(Progress(_LOADING, 0.0))
        from cisfa.cli.segment_work import Work
        from cisfa.inference.device import choose_device
        from cisfa.inference.predictor import PredictionOptions, Predictor

        options = PredictionOptions(
            batch_size=arguments.batch_size,
            largest_component=arguments.largest_component,
            trust_modality=arguments.modality is not None,
        )
        predictor = Predictor(bundle, choose_device(arguments.device, report), options, report)
        report(Progress(_LOADING, 1.0))
        Work(bundle, predictor, export, roi, report).segment_all(plan)


def _open(arguments: argparse.Namespace, *, is_exported: bool) -> "tuple[Bundle, Export]":
    """The bundle, and how its organs are described in DICOM segmentations.

    Raises:
        BundleError: It is damaged, or made for another modality.
        ExportError: An organ has no codes, and DICOM segmentations are wanted.
    """
    from cisfa.bundle.bundle_folder import open_bundle
    from cisfa.cli.segment_work import Export
    from cisfa.dicom.segment_list import Algorithm, segments_of_bundle
    from cisfa.errors import BundleError

    bundle = open_bundle(arguments.bundle)
    manifest = bundle.manifest
    if arguments.modality not in (None, manifest.target.modality):
        raise BundleError(
            f"The bundle {manifest.name!r} segments {manifest.target.modality}, but the volumes are"
            f" {arguments.modality}. Choose a bundle whose target is {arguments.modality}."
        )
    described = segments_of_bundle(manifest.organs, Algorithm(manifest.name, manifest.version, bundle.checksum))
    if is_exported:
        from cisfa.dicom.export_checks import require_exportable, require_highdicom

        require_highdicom()
        require_exportable(described)
    return bundle, Export(described, arguments.kind)


def _plan(arguments: argparse.Namespace, temporary: ExitStack) -> "Plan":
    """What will be read and written; temporary folders last as long as ``temporary``.

    Raises:
        CisfaError: Inputs or outputs make no sense, or an output cannot be written.
    """
    from cisfa.cli.segment_plan import find_volumes, plan_label_maps, plan_organ_reports, plan_segmentations
    from cisfa.cli.segment_work import Plan
    from cisfa.errors import ConfigError

    addresses, paths = _sorted_inputs(arguments.inputs)
    store = _store_address(arguments.store)
    volumes = find_volumes(paths)
    remote: dict[Path, SeriesAddress] = {}
    if addresses:
        fetched = Path(
            temporary.enter_context(tempfile.TemporaryDirectory(prefix="cisfa-", ignore_cleanup_errors=True))
        )
        remote = {fetched / address.series_uid: address for address in addresses}
        volumes |= {place: address.series_uid for place, address in remote.items()}
    stores: dict[Path, DicomWebService | DimseNode] = {}
    if arguments.store != _NOWHERE:
        stores = {place: store or remote[place].service for place in volumes if store or place in remote}
    output = arguments.output
    if output is None:
        if len(stores) < len(volumes) or arguments.report:
            raise ConfigError("--output is missing. Say where the label maps go: --output FILE_OR_DIR.")
        output = _temporary_folder(temporary)
    label_maps = plan_label_maps(volumes, output, overwrite=arguments.overwrite)
    organ_reports: dict[Path, Path] = {}
    if arguments.report:
        organ_reports = plan_organ_reports(
            label_maps, arguments.report, names_a_file=output in label_maps.values(), overwrite=arguments.overwrite
        )
    exported = {place: target for place, target in label_maps.items() if arguments.dicom_seg or place in stores}
    segmentations = plan_segmentations(exported, overwrite=arguments.overwrite)
    return Plan(label_maps, organ_reports, segmentations, remote, stores, are_kept=arguments.output is not None)


def _temporary_folder(temporary: ExitStack) -> Path:
    return Path(temporary.enter_context(tempfile.TemporaryDirectory(prefix="cisfa-", ignore_cleanup_errors=True)))


def _sorted_inputs(inputs: Sequence[str]) -> "tuple[list[SeriesAddress], list[Path]]":
    """Series in a PACS, and what lies on this computer."""
    from cisfa.pacs.address import is_dicomweb_address, parse_series_address

    addresses = [parse_series_address(text) for text in inputs if is_dicomweb_address(text)]
    return list(dict.fromkeys(addresses)), [Path(text) for text in inputs if not is_dicomweb_address(text)]


def _store_address(text: str | None) -> "DicomWebService | DimseNode | None":
    from cisfa.pacs.address import parse_target

    return None if text in (None, _NOWHERE) else parse_target(text)
