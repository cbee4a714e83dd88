"""``cisfa crossval``: train and score the rows of a table over disjoint folds of patients."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.cli.train import add_settings_arguments
from cisfa.errors import ConfigError, RunError, TrainingDivergedError
from cisfa.events import Finished, Notice, Report

if TYPE_CHECKING:
    from cisfa.config import TrainingConfig
    from cisfa.evaluation.contours import ContourCase
    from cisfa.evaluation.study_results import StudyResults
    from cisfa.training.study import Choice, Study
    from cisfa.training.study_rows import StudyTable

HELP = "train and score methods, or rows of a table, over disjoint folds of patients"
_METHODS = "cisfa,source-only,supervised"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder with images/ and labels/")
    parser.add_argument(
        "--target", type=Path, required=True, metavar="DIR",
        help="folder with images/ and labels/; the labels serve the score, supervised and supervised-plus alone",
    )  # fmt: skip
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder for runs, predictions, results and report"
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR",
        help="folder that keeps the results apart from the runs as well; what it holds is done",
    )  # fmt: skip
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--methods", metavar="M,...",
        help=f"methods to compare (default {_METHODS}); the first is the one the others are tested against",
    )  # fmt: skip
    rows.add_argument("--rows", type=Path, metavar="FILE", help="JSON file of rows: methods with settings and names")
    parser.add_argument("--folds", type=int, default=4, metavar="K", help="number of folds (default 4)")
    parser.add_argument("--fold-seed", type=int, metavar="N", help="shares the cases out (default: the first seed)")
    parser.add_argument(
        "--seeds", type=_whole_numbers, metavar="N,...", help="train every row with each of these on the same folds"
    )
    _add_sharing_arguments(parser)
    parser.add_argument(
        "--reference",
        metavar="NAME",
        help="row that the others are tested against (default: what FILE says, or the first)",
    )
    parser.add_argument("--figure-row", metavar="NAME", help="row whose contours are drawn (default: the first)")
    parser.add_argument("--same-names-differ", action="store_true", help="equal case names are different patients")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    add_settings_arguments(parser, with_method=False)


def _add_sharing_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("options for going on, and for several processes that share one folder")
    group.add_argument("--resume", action="store_true", help="go on with an earlier part of the same study")
    group.add_argument(
        "--only", action="append", metavar="NAME,...", help="train these rows alone; may be given several times"
    )
    group.add_argument(
        "--fold", type=_whole_numbers, metavar="K,...", help="train and report these folds alone, from 1"
    )
    group.add_argument("--report-only", action="store_true", help="train nothing: report the rows that are complete")


def _whole_numbers(text: str) -> tuple[int, ...]:
    """The numbers of "0,1"."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers, such as 0,1")
    return tuple(int(word) for word in words)


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command.

    Raises:
        CisfaError: Something cannot be used; nothing has been trained then. Or a training diverged, or no row is
            complete: the others are trained and reported then.
    """
    from cisfa.config_files import DEFAULT_PRESET, compose
    from cisfa.data_sets.record import chosen_by_labels
    from cisfa.inference.device import choose_device
    from cisfa.training.crossval import cross_validate
    from cisfa.training.study import require_usable
    from cisfa.training.study_scores import score_study

    config = compose(
        preset=arguments.preset or DEFAULT_PRESET, file=arguments.config, assignments=arguments.assignments
    )
    table = _with_reference(arguments, _table(arguments, config))
    study, choice, figure_row = (
        _study(arguments, table, config),
        _choice(arguments, table),
        _figure_row(arguments, table),
    )
    for line in chosen_by_labels(case.volume for case in study.target):
        report(Notice(line))
    diverged: tuple[str, ...] = ()
    if arguments.report_only:
        require_usable(study, choice, arguments.run, resume=True)
    else:
        device = choose_device(arguments.device, report)
        diverged = cross_validate(study, arguments.run, device, report, resume=arguments.resume, choice=choice)
    results = score_study(study, table, arguments.run, choice, report)
    outputs: tuple[Path, ...] = ()
    if results is not None:
        outputs = _write_report(results, study, arguments, figure_row, report)
    if diverged:
        raise TrainingDivergedError(" ".join(diverged))
    if results is None and arguments.report_only:
        raise RunError(f"{arguments.run} holds no complete row to report. Train one, or name fewer folds or seeds.")
    report(Finished(tuple(str(path) for path in outputs or (arguments.run,))))


def _table(arguments: argparse.Namespace, config: "TrainingConfig") -> "StudyTable":
    from cisfa.training.study_rows import read_table, table_of_methods

    if arguments.rows is not None:
        return read_table(arguments.rows, config)
    methods = _METHODS if arguments.methods is None else arguments.methods
    return table_of_methods([name.strip() for name in methods.split(",") if name.strip()], config)


def _with_reference(arguments: argparse.Namespace, table: "StudyTable") -> "StudyTable":
    from cisfa.training.study_rows import row_named

    if arguments.reference is None:
        return table
    return replace(table, reference=row_named(table, arguments.reference, option="--reference").name)


def _study(arguments: argparse.Namespace, table: "StudyTable", config: "TrainingConfig") -> "Study":
    from cisfa.cases.case_folder import labelled_cases, organs_beside, require_different_patients
    from cisfa.training.study import Study

    source, target = labelled_cases(arguments.source), labelled_cases(arguments.target)
    require_different_patients(source, target, names_may_repeat=arguments.same_names_differ)
    seeds = arguments.seeds
    if seeds is None and arguments.rows is not None:
        seeds = (config.seed,)  # so that another seed can be added later
    organs, results = organs_beside(arguments.source), arguments.results
    return Study(source, target, organs, table.rows, arguments.folds, config, seeds, arguments.fold_seed, results)


def _choice(arguments: argparse.Namespace, table: "StudyTable") -> "Choice":
    from cisfa.training.study import Choice
    from cisfa.training.study_rows import rows_named

    rows = None if arguments.only is None else frozenset(row.name for row in rows_named(table, arguments.only))
    folds = None if arguments.fold is None else tuple(sorted({number - 1 for number in arguments.fold}))
    return Choice(rows, folds)


def _figure_row(arguments: argparse.Namespace, table: "StudyTable") -> str | None:
    from cisfa.training.study_rows import row_named

    if arguments.figure_row is None:
        return None
    return row_named(table, arguments.figure_row, option="--figure-row").name


def _write_report(
    results: "StudyResults", study: "Study", arguments: argparse.Namespace, figure_row: str | None, report: Report
) -> tuple[Path, ...]:
    """Write the report; part of the folds get a folder of their own, so that they never pass for the whole."""
    from cisfa.evaluation.study_report import write_study_report

    names = [row.name for row in results.rows]
    if figure_row is not None and figure_row not in names:
        report(Notice(f"{figure_row} is not complete yet; the contours are those of {names[0]}."))
        figure_row = None
    figure = figure_row or names[0]
    reported = results.rows[0].folds
    folds = "" if len(reported) == study.folds else "-fold-" + "-".join(map(str, reported))
    folder = arguments.run / f"report{folds}"
    contours = _contours(study, arguments.run, figure, report)
    return write_study_report(results, folder, figure=figure, contours=contours)


def _contours(study: "Study", folder: Path, row: str, report: Report) -> "Callable[[str], ContourCase | None]":
    from cisfa.evaluation.contours import ContourCase
    from cisfa.imaging.volume_files import read_label_map, read_volume
    from cisfa.training.study_scores import prediction_of

    files = {case.name: case for case in study.target}

    def contours(name: str) -> "ContourCase | None":
        case = files[name]
        if case.labels is None:
            raise ConfigError(f"{name} has no label map to draw. Add it to the target's label maps.")
        prediction = prediction_of(study, folder, row, name)
        if prediction is None:
            report(Notice(f"{name} is left out of the figure: its prediction by {row} is no longer there."))
            return None
        return ContourCase(name, read_label_map(case.labels), read_label_map(prediction), read_volume(case.volume))

    return contours
