"""``cisfa crossval``: train and score methods over disjoint folds of patients."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.cli.train import add_settings_arguments
from cisfa.events import Finished, Report

if TYPE_CHECKING:
    from cisfa.evaluation.contours import ContourCase

HELP = "train and score methods over disjoint folds of patients"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder with images/ and labels/")
    parser.add_argument(
        "--target", type=Path, required=True, metavar="DIR",
        help="folder with images/ and labels/; the labels serve the score and the method supervised alone",
    )  # fmt: skip
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder for runs, predictions and report"
    )
    parser.add_argument("--folds", type=int, default=4, metavar="K", help="number of folds (default 4)")
    parser.add_argument(
        "--methods", default="cisfa,source-only,supervised", metavar="M,...",
        help="methods to compare; the first is the one the others are tested against",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on with an earlier part of the same study")
    parser.add_argument("--same-names-differ", action="store_true", help="equal case names are different patients")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    add_settings_arguments(parser, with_method=False)


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command."""
    from cisfa.cases.case_folder import labelled_cases, organs_beside, require_different_patients
    from cisfa.config_files import DEFAULT_PRESET, compose
    from cisfa.evaluation.contours import ContourCase
    from cisfa.evaluation.report import write_report
    from cisfa.imaging.volume_files import read_label_map, read_volume
    from cisfa.inference.device import choose_device
    from cisfa.training.crossval import Study, cross_validate, prediction_of, scores_by_fold
    from cisfa.whole_files import write_text

    config = compose(
        preset=arguments.preset or DEFAULT_PRESET, file=arguments.config, assignments=arguments.assignments
    )
    source, target = labelled_cases(arguments.source), labelled_cases(arguments.target)
    require_different_patients(source, target, names_may_repeat=arguments.same_names_differ)
    methods = [name.strip() for name in arguments.methods.split(",") if name.strip()]
    study = Study(source, target, organs_beside(arguments.source), methods, arguments.folds, config)
    device = choose_device(arguments.device, report)
    scores = cross_validate(study, arguments.run, device, report, resume=arguments.resume)
    files = {case.name: case for case in target}

    def contours(case: str) -> "ContourCase":
        labels = files[case].labels or Path()
        prediction = prediction_of(arguments.run, methods[0], case)
        return ContourCase(case, read_label_map(labels), read_label_map(prediction), read_volume(files[case].volume))

    reference = methods[0] if len(methods) > 1 else None
    outputs = write_report(
        scores, arguments.run / "report", reference=reference, contours=contours, overwrite=arguments.resume
    )
    by_fold = json.dumps({"mean_dice": scores_by_fold(scores, study)}, indent=2) + "\n"
    folds = arguments.run / "report" / "folds.json"
    write_text(folds, by_fold)
    report(Finished(tuple(str(path) for path in (*outputs, folds))))
