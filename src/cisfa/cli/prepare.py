"""``cisfa prepare``: public data sets, as they unpack, become folders that training and scoring read."""

import argparse
from pathlib import Path

from cisfa.data_sets.choices import SEQUENCES, TITLES, Choices
from cisfa.errors import ConfigError
from cisfa.events import Finished, Notice, Report

HELP = (
    f"turn a public data set ({', '.join(TITLES.values())}), as its download unpacks, into images, labels and"
    " dataset.json of one domain; check on which side the organs lie, and say what was left out and why"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("data_set", choices=sorted(TITLES), metavar="SET", help=", ".join(sorted(TITLES)))
    parser.add_argument("raw", type=Path, metavar="RAW", help="folder that the download unpacked to; only read")
    parser.add_argument("out", type=Path, metavar="OUT", help="new folder for images, labels and dataset.json")
    parser.add_argument("--modality", choices=("ct", "mr"), help="of a set that has both: one folder, one domain")
    parser.add_argument("--sequence", choices=SEQUENCES, help="of CHAOS's MR (default: t2spir)")
    parser.add_argument(
        "--organs", default="", metavar="A,B,…",
        help="organs by name, in the order of the labels they get (default: liver, right kidney, left kidney, spleen;"
        " of MM-WHS: myocardium, left atrium, left ventricle, ascending aorta)",
    )  # fmt: skip
    parser.add_argument(
        "--only", action="append", default=[], metavar="COLUMN=TEXT",
        help="only cases of TotalSegmentator whose column in meta.csv contains the text: study_type=abdomen",
    )  # fmt: skip
    parser.add_argument(
        "--all-organs", action="store_true", help="only cases that have every one of the organs; for a source domain"
    )
    parser.add_argument(
        "--around-organs", type=float, metavar="MM",
        help="cut whole-body volumes along the body to the organs and so many mm more; for a source domain",
    )  # fmt: skip
    parser.add_argument(
        "--unlabelled", action="store_true",
        help="also keep volumes without labels, in OUT/unlabelled, which can be a target domain",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on with an OUT that was begun with the same options")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Prepare the data set.

    Raises:
        CisfaError: An option makes no sense, RAW is not that data set, OUT is not free, or no case can be used.
    """
    margin_mm = arguments.around_organs
    if margin_mm is not None and not 0 <= margin_mm < float("inf"):
        raise ConfigError(f"--around-organs is {margin_mm:g}; it must be a number of millimetres from 0 on.")
    choices = Choices(
        modality=arguments.modality,
        sequence=arguments.sequence,
        organs=tuple(name for name in map(str.strip, arguments.organs.split(",")) if name),
        only=tuple(map(_condition, arguments.only)),
    )
    from cisfa.data_sets.preparation import UNLABELLED, Request, prepare

    request = Request(
        arguments.data_set,
        choices,
        with_unlabelled=arguments.unlabelled,
        all_organs=arguments.all_organs,
        around_organs_mm=margin_mm,
    )
    record = prepare(request, arguments.raw, arguments.out, report, resume=arguments.resume)
    for line in record.in_words():
        report(Notice(line))
    has_labels = {case.has_labels for case in record.kept.values()}
    folders = [arguments.out] * (True in has_labels) + [arguments.out / UNLABELLED] * (False in has_labels)
    report(Finished(tuple(map(str, folders))))


def _condition(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not (equals and column.strip() and value.strip()):
        raise ConfigError(f"--only {text!r} is not COLUMN=TEXT. Write, for instance, --only study_type=abdomen.")
    return column.strip(), value.strip()
