"""``cisfa train``: adapt a model from annotated source cases to an unlabelled target domain."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.events import Finished, Notice, Report

if TYPE_CHECKING:
    from cisfa.config import TrainingConfig
    from cisfa.training.session import TrainingCases

HELP = "adapt a model from annotated source cases to unlabelled target cases"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--source", type=Path, metavar="DIR", help="folder with images/ and labels/")
    parser.add_argument("--target", type=Path, metavar="DIR", help="folder with images/; its labels are never opened")
    parser.add_argument(
        "--cases", type=Path, metavar="FILE", help="list of cases instead of the folders, as CISFA Training saves it"
    )
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="folder to write the run into")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --run")
    parser.add_argument("--same-names-differ", action="store_true", help="equal case names are different patients")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    add_settings_arguments(parser)


def add_settings_arguments(parser: argparse.ArgumentParser, *, with_method: bool = True) -> None:
    """Declare the arguments that make up a run's settings; cross-validation has them too."""
    from cisfa.config_files import DEFAULT_PRESET, preset_names

    names = ", ".join(f"{name} (default)" if name == DEFAULT_PRESET else name for name in preset_names())
    parser.add_argument("--preset", metavar="NAME", help=f"settings to begin with: {names}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="JSON file of settings laid over the preset")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="assignments",
        help="one setting, for instance optimiser.batch_size=8",
    )  # fmt: skip
    if with_method:
        parser.add_argument("--method", metavar="M", help="cisfa (default), source-only or supervised")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command."""
    from cisfa.config_files import DEFAULT_PRESET, compose
    from cisfa.inference.device import choose_device
    from cisfa.training.run_folder import RunFolder
    from cisfa.training.session import run_training

    folder = RunFolder(arguments.run)
    if not arguments.resume:
        folder.require_startable()
    config = compose(
        preset=arguments.preset or DEFAULT_PRESET,
        file=arguments.config,
        assignments=arguments.assignments,
        method=arguments.method,
        # resuming, what is set comes on top of the run's own settings
        base=folder.read_config() if arguments.resume and not arguments.preset else None,
    )
    device = choose_device(arguments.device, report)
    run_training(folder, _find_cases(arguments, config, report), config, device, report)
    report(Finished((str(folder.path),)))


def _find_cases(arguments: argparse.Namespace, config: "TrainingConfig", report: Report) -> "TrainingCases":
    """The cases of the list, or of the folders, that the command line names.

    Raises:
        CaseError: It names none, both, or some that cannot be used.
    """
    from cisfa.cases.case_list import read_case_list
    from cisfa.cases.training_files import source_files, target_files
    from cisfa.errors import CaseError
    from cisfa.training.methods import method_named
    from cisfa.training.session import TrainingCases

    has_target = method_named(config.method).has_target
    if arguments.cases is None:
        return _cases_of_folders(arguments, config, report, has_target=has_target)
    if arguments.source is not None or arguments.target is not None:
        raise CaseError("--cases names the cases of both domains: leave out --source and --target.")
    cases = read_case_list(arguments.cases)
    return TrainingCases(source_files(cases), target_files(cases) if has_target else [], cases.organs)


def _cases_of_folders(
    arguments: argparse.Namespace, config: "TrainingConfig", report: Report, *, has_target: bool
) -> "TrainingCases":
    from cisfa.cases.case_folder import labelled_cases, organs_beside, require_different_patients, unlabelled_cases
    from cisfa.config import TrainingConfig
    from cisfa.errors import CaseError
    from cisfa.training.session import TrainingCases

    if arguments.source is None:
        raise CaseError("--source is missing: give the folder with the annotated cases, or a list of cases (--cases).")
    source, target = labelled_cases(arguments.source), []
    if has_target:
        if arguments.target is None:
            raise CaseError("--target is missing: give the folder with the unlabelled cases to adapt to.")
        target = unlabelled_cases(arguments.target)
        require_different_patients(source, target, names_may_repeat=arguments.same_names_differ)
    elif arguments.target is not None:
        report(Notice("This method learns from --source alone; --target is left unread."))
    organs = organs_beside(arguments.source)
    if organs is not None and config.organs not in (TrainingConfig().organs, {str(o.label): o.name for o in organs}):
        report(
            Notice(f"The organs are those that {arguments.source / 'dataset.json'} names, not those of the settings.")
        )
    return TrainingCases(source, target, organs)
