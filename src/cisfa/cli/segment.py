"""``cisfa segment``: volumes and a bundle in, label maps out, and DICOM segmentations where they are wanted."""

import argparse
import os
import re
from collections.abc import Iterable, Mapping, Sequence
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
    parser.add_argument(
        "--quality", action=argparse.BooleanOptionalAction,
        help="estimate how far each organ can be trusted, which up to doubles the time; by default with --report alone",
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
        plan = _plan(arguments, temporary, report)
        bundle, export = _open(arguments, is_exported=bool(plan.segmentations))
        # torch takes seconds to import, so what can go wrong without it has been looked at before
        report(Progress(_LOADING, 0.0))
        from cisfa.cli.segment_work import Judging, Work
        from cisfa.inference.device import choose_device
        from cisfa.inference.predictor import PredictionOptions, Predictor

        options = PredictionOptions(
            batch_size=arguments.batch_size,
            largest_component=arguments.largest_component,
            trust_modality=arguments.modality is not None,
        )
        predictor = Predictor(bundle, choose_device(arguments.device, report), options, report)
        report(Progress(_LOADING, 1.0))
        is_judged = bool(arguments.report) if arguments.quality is None else arguments.quality
        # a program that follows the events reads the report
        is_told = is_judged and not getattr(arguments, "events", False)
        Work(bundle, predictor, export, roi, report, Judging(is_judged, is_told)).segment_all(plan)


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


def _plan(arguments: argparse.Namespace, temporary: ExitStack, report: Report) -> "Plan":
    """What will be read and written; temporary folders last as long as ``temporary``.

    Raises:
        CisfaError: Inputs or outputs make no sense, an output cannot be written, or a PACS cannot be used.
    """
    from cisfa.cli.segment_plan import find_volumes, plan_label_maps, plan_organ_reports, plan_segmentations
    from cisfa.cli.segment_work import Plan
    from cisfa.cli.temporary_folder import temporary_folder
    from cisfa.errors import ConfigError

    addresses, paths = _sorted_inputs(arguments.inputs)
    volumes = find_volumes(paths)
    _require_there(volumes)
    folder = temporary.enter_context(temporary_folder(report)) if addresses or arguments.output is None else Path()
    remote = {folder / f"series {number}": address for number, address in enumerate(addresses, 1)}
    volumes |= {place: address.series_uid for place, address in remote.items()}
    stores = _stores(arguments.store, volumes, remote)
    output = arguments.output
    if output is None:
        if len(stores) < len(volumes) or arguments.report:
            raise ConfigError("--output is missing. Say where the label maps go: --output FILE_OR_DIR.")
        output = folder / "results"
    label_maps = plan_label_maps(volumes, output, overwrite=arguments.overwrite)
    organ_reports: dict[Path, Path] = {}
    if arguments.report:
        organ_reports = plan_organ_reports(
            label_maps, arguments.report, names_a_file=output in label_maps.values(), overwrite=arguments.overwrite
        )
    exported = {place: target for place, target in label_maps.items() if arguments.dicom_seg or place in stores}
    segmentations = plan_segmentations(exported, overwrite=arguments.overwrite)
    _require_usable_pacs(remote.values(), stores.values(), report)
    return Plan(label_maps, organ_reports, segmentations, remote, stores, are_kept=arguments.output is not None)


def _sorted_inputs(inputs: Sequence[str]) -> "tuple[list[SeriesAddress], list[Path]]":
    """Series in a PACS, and what lies on this computer.

    Raises:
        ConfigError: An input is empty, as an unset variable of a shell is: it must not mean the current folder.
        PacsError: An address is none of a series.
    """
    from cisfa.errors import ConfigError
    from cisfa.pacs.address import looks_like_address, parse_series_address

    if not all(text.strip() for text in inputs):
        raise ConfigError("An input is empty. Name a volume, a folder, or a series in a PACS.")
    addresses = [parse_series_address(text) for text in inputs if looks_like_address(text)]
    return list(dict.fromkeys(addresses)), [Path(text) for text in inputs if not looks_like_address(text)]


def _require_there(volumes: Mapping[Path, str]) -> None:
    """Of several volumes the others are segmented; the only one is missed before torch is loaded."""
    from cisfa.errors import VolumeFileError

    if len(volumes) == 1 and not os.path.exists(next(iter(volumes))):  # noqa: PTH110 - unlike Path.exists, never raises
        raise VolumeFileError(f"{next(iter(volumes))} does not exist.")


def _stores(
    store: str | None, volumes: Mapping[Path, str], remote: "Mapping[Path, SeriesAddress]"
) -> "dict[Path, DicomWebService | DimseNode]":
    """Where each volume's DICOM segmentation is sent."""
    from cisfa.pacs.address import parse_target

    if store == _NOWHERE:
        return {}
    if store is None:
        return {place: address.service for place, address in remote.items()}
    return dict.fromkeys(volumes, parse_target(store))


def _require_usable_pacs(
    addresses: "Iterable[SeriesAddress]", targets: "Iterable[DicomWebService | DimseNode]", report: Report
) -> None:
    """Raise before minutes of work what would be found out after them.

    Raises:
        PacsError: A PACS cannot be reached or used.
    """
    from cisfa.pacs.address import DicomWebService

    read_from, sent_to = list(addresses), list(dict.fromkeys(targets))
    if not read_from and not sent_to:
        return
    from cisfa.pacs.credentials import require_credentials_for_one
    from cisfa.pacs.fetch import require_fetchable
    from cisfa.pacs.store import require_storable

    services = [address.service for address in read_from]
    require_credentials_for_one([*services, *(one for one in sent_to if isinstance(one, DicomWebService))])
    for address in read_from:
        require_fetchable(address)
    for target in sent_to:
        require_storable(target, report)
