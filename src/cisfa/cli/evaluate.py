"""``cisfa evaluate``: score predictions against labels."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.errors import CaseError, CisfaError, ConfigError
from cisfa.events import Finished, Notice, Progress, Report

if TYPE_CHECKING:
    from cisfa.evaluation.contours import ContourCase
    from cisfa.evaluation.score_case import CaseScores
    from cisfa.imaging.organs import Organ

HELP = "score predictions against labels: Dice, surface distances in mm, paired tests, contours"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="DIR", help="label maps that a model found, one a case"
    )
    parser.add_argument(
        "--labels", type=Path, required=True, metavar="DIR", help="label maps that an expert drew, of the same names"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--images", type=Path, metavar="DIR", help="volumes to draw the contours on")
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="predictions of another model on the same cases, to test against"
    )
    organs = parser.add_mutually_exclusive_group()
    organs.add_argument("--organs", metavar="TEXT", help='what the labels mean: "1=liver,2=right kidney"')
    organs.add_argument("--bundle", type=Path, metavar="PATH", help="model bundle whose organs the labels are")
    parser.add_argument("--overwrite", action="store_true", help="replace a report that is in the output folder")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Score every labelled case, write the report, and show a table unless events are written to standard output.

    Raises:
        CisfaError: A folder or file is unusable, a case has no prediction, grids or labels do not match, or the
            output folder is not free.
    """
    from cisfa.evaluation.case_files import match_cases, volumes_in
    from cisfa.evaluation.report import require_free_folder, write_report
    from cisfa.evaluation.statistics import ASSD, DICE, summarise
    from cisfa.evaluation.tables import organs_table

    require_free_folder(arguments.output, overwrite=arguments.overwrite)
    labels = volumes_in(arguments.labels)
    predictions = {
        method: _predictions(labels, folder, report) for method, folder in _folders_by_method(arguments).items()
    }
    images = match_cases(labels, volumes_in(arguments.images)).files if arguments.images else None
    scores = _score(labels, predictions, _organs(arguments, labels, report), report)
    method, *others = predictions
    written = write_report(
        scores,
        arguments.output,
        reference=others[0] if others else None,
        contours=lambda case: _contour_case(case, labels[case], predictions[method][case], images, report),
        overwrite=arguments.overwrite,
    )
    if not getattr(arguments, "events", False):
        for name, cases in scores.items():
            print(f"{name}:\n{organs_table(summarise(cases), (DICE, ASSD))}")
    report(Finished(tuple(str(path) for path in written)))


def _folders_by_method(arguments: argparse.Namespace) -> dict[str, Path]:
    """A name for each folder of predictions: the folder's own, unless both have the same."""
    if arguments.against is None:
        return {arguments.predictions.resolve().name or "predictions": arguments.predictions}
    predictions, against = arguments.predictions.resolve(), arguments.against.resolve()
    if predictions == against:
        raise ConfigError(f"--predictions and --against are one folder: {against}. Give the other model's predictions.")
    if predictions.name == against.name or not (predictions.name and against.name):
        return {"predictions": predictions, "against": against}
    return {predictions.name: arguments.predictions, against.name: arguments.against}


def _predictions(labels: Mapping[str, Path], folder: Path, report: Report) -> Mapping[str, Path]:
    """Case to its prediction; a prediction without a label is worth a notice."""
    from cisfa.evaluation.case_files import match_cases, volumes_in

    matched = match_cases(labels, volumes_in(folder))
    if matched.missing:
        raise CaseError(
            f"{folder} has no prediction for {len(matched.missing)} of {len(labels)} cases:"
            f" {', '.join(matched.missing)}. Segment them too, or take their labels away."
        )
    if matched.surplus:
        report(Notice(f"Not scored, since there is no label for them: {', '.join(matched.surplus)} in {folder}."))
    return matched.files


def _organs(arguments: argparse.Namespace, labels: Mapping[str, Path], report: Report) -> "tuple[Organ, ...]":
    """What the user says, else the bundle, else the data set's description, else the values found in the labels."""
    from cisfa.evaluation.case_files import organs_of_dataset
    from cisfa.imaging.organs import parse_organs

    if arguments.organs is not None:
        return parse_organs(arguments.organs)
    if arguments.bundle is not None:
        from cisfa.bundle.bundle_folder import open_bundle

        organs: tuple[Organ, ...] = open_bundle(arguments.bundle).manifest.organs
        return organs
    return organs_of_dataset(arguments.labels) or _organs_found(labels, report)


def _organs_found(labels: Mapping[str, Path], report: Report) -> "tuple[Organ, ...]":
    """An organ for every value that a label map holds, named after it."""
    import numpy as np

    from cisfa.imaging.organs import catalogue_organ
    from cisfa.imaging.volume_files import read_label_map

    found: set[int] = set()
    for number, path in enumerate(labels.values()):
        report(Progress("looking for organs", number / len(labels)))
        found.update(np.unique(read_label_map(path).voxels).tolist())
    report(Progress("looking for organs", 1.0))
    if not found - {0}:
        raise CaseError(
            "The labels hold background alone, so there is nothing to score. Check that they are label maps."
        )
    return tuple(catalogue_organ(f"label {value}", value) for value in sorted(found - {0}))


def _score(
    labels: Mapping[str, Path],
    predictions: Mapping[str, Mapping[str, Path]],
    organs: "Sequence[Organ]",
    report: Report,
) -> "dict[str, list[CaseScores]]":
    """Score every case with every method; a label map is read once."""
    from time import monotonic

    from cisfa.evaluation.score_case import score_case
    from cisfa.imaging.volume_files import read_label_map

    scores: dict[str, list[CaseScores]] = {method: [] for method in predictions}
    start = monotonic()
    report(Progress("scoring", 0.0))
    for done, (case, path) in enumerate(labels.items(), start=1):
        truth = read_label_map(path)
        for method, files in predictions.items():
            scores[method].append(score_case(read_label_map(files[case]), truth, organs, case=case))
        remaining_s = (monotonic() - start) / done * (len(labels) - done)
        report(Progress("scoring", done / len(labels), remaining_s))
    return scores


def _contour_case(
    case: str, label: Path, prediction: Path, images: Mapping[str, Path] | None, report: Report
) -> "ContourCase":
    """What to draw of a case; an image that is missing or unusable costs the background alone, not the report."""
    from cisfa.evaluation.contours import ContourCase
    from cisfa.imaging.volume_files import read_label_map, read_volume

    truth, image = read_label_map(label), None
    if images is not None and case not in images:
        report(Notice(f"There is no image for {case}; its contours are drawn on black."))
    elif images is not None:
        try:
            image = read_volume(images[case])
            image.geometry.require_same_grid(
                truth.geometry, ours=f"The image {image.name}", theirs=f"the label map {truth.name}"
            )
        except CisfaError as error:
            report(Notice(f"{error} The contours of {case} are drawn on black."))
            image = None
    return ContourCase(case, truth, read_label_map(prediction), image)
