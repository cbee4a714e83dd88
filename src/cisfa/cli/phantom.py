"""``cisfa phantom``: make synthetic cases."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.errors import ConfigError
from cisfa.events import Finished, Report

if TYPE_CHECKING:
    from cisfa.phantom.tissues import Domain

HELP = (
    "make synthetic abdomens with labels of the liver, kidneys and spleen, CT-like and MR-like, of different patients:"
    " to try things out with, never to train a model for patients"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("output", type=Path, metavar="OUT", help="folder for images, labels and dataset.json")
    parser.add_argument(
        "--domain", choices=("ct", "mr", "both"), default="both", help="both makes the folders OUT/ct and OUT/mr"
    )
    parser.add_argument("--cases", type=int, default=8, metavar="N", help="patients in each domain (default: 8)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, other patients (default: 0)")
    parser.add_argument(
        "--severity", type=float, default=0.5, metavar="X", help="from 0, easy, to 1, hard (default: 0.5)"
    )
    parser.add_argument(
        "--size", choices=("small", "standard"), default="standard", help="small cases suit quick tests"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace phantoms that are there already")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Make the cases.

    Raises:
        CisfaError: A number is out of range, or the folder is not free or cannot be written.
    """
    _require(arguments.cases >= 1, "--cases", arguments.cases, "at least 1")
    _require(arguments.seed >= 0, "--seed", arguments.seed, "at least 0")
    _require(0.0 <= arguments.severity <= 1.0, "--severity", arguments.severity, "from 0 to 1")

    from cisfa.phantom.case_folder import CaseSet, write_cases

    domains: tuple[Domain, ...] = ("ct", "mr") if arguments.domain == "both" else (arguments.domain,)
    wanted = CaseSet(domains, arguments.cases, arguments.seed, arguments.severity, arguments.size)
    folders = write_cases(wanted, arguments.output, report, overwrite=arguments.overwrite)
    report(Finished(tuple(str(folder) for folder in folders)))


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value}; it must be {expected}.")
