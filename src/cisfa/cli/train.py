"""``cisfa train``: adapt a model from annotated source cases to an unlabelled target domain."""

import argparse
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.events import Event, Finished, Metric, Notice, Progress, Report

if TYPE_CHECKING:
    from cisfa.config import TrainingConfig
    from cisfa.training.processes import Processes
    from cisfa.training.session import TrainingCases

HELP = "adapt a model from annotated source cases to unlabelled target cases"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--source", type=Path, metavar="DIR", help="folder with images/ and labels/")
    parser.add_argument("--target", type=Path, metavar="DIR", help="folder with images/; its labels are never opened")
    parser.add_argument(
        "--cases", type=Path, metavar="FILE", help="list of cases instead of the folders, as CISFA Training saves it"
    )
    # torchrun takes --run for an option of its own, unless a -- stands before the words that are not its
    parser.add_argument(
        "--run",
        "--run-folder",
        type=Path,
        required=True,
        metavar="DIR",
        dest="run",
        help="folder to write the run into",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --run")
    parser.add_argument("--same-names-differ", action="store_true", help="equal case names are different patients")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    add_settings_arguments(parser)
    _add_processes_arguments(parser)


def _add_processes_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("options for several processes, which share every batch")
    group.add_argument(
        "--processes", type=_count, metavar="N", help="train in N processes of this computer; all: one a CUDA card"
    )
    group.add_argument(
        "--write-slurm", type=Path, metavar="FILE", help="write a script that trains on a Slurm cluster, and end"
    )
    group.add_argument("--slurm-nodes", type=int, default=1, metavar="N", help="computers (default 1)")
    group.add_argument("--slurm-gpus", type=int, default=1, metavar="N", help="graphics cards of each (default 1)")
    group.add_argument("--slurm-hours", type=float, default=24.0, metavar="H", help="time limit (default 24)")
    group.add_argument("--slurm-python", default="python", metavar="COMMAND", help="what runs the cluster's Python")


def _count(text: str) -> int:
    """A number of processes; 0 for one a card."""
    if text == "all":
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; it must be at least 1, or all")
    return int(text)


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
        parser.add_argument(
            "--method", metavar="M", help="cisfa (default), cisfa-plus, source-only, supervised or supervised-plus"
        )


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command."""
    if arguments.write_slurm is not None:
        _write_slurm_script(arguments, report)
        return
    count = 1 if arguments.processes is None else _processes_to_start(arguments)
    if count > 1:
        from cisfa.cli.train_processes import train_in_processes

        tells_failure = getattr(arguments, "events", False)
        train_in_processes(words_of(arguments), count, report, tells_failure=tells_failure)
        return

    from cisfa.training.join_processes import join_processes

    with join_processes(arguments.device, report) as processes:
        if processes.is_first:
            _train(arguments, report, processes)
        else:
            _train_quietly(arguments, report, processes)


def words_of(arguments: argparse.Namespace) -> list[str]:
    """The words that say what to train, without those that say in how many processes and who follows it."""
    words = [
        f"--{name.replace('_', '-')}={value}"
        for name in ("source", "target", "cases", "run", "device", "preset", "config", "method")
        if (value := getattr(arguments, name)) is not None
    ]
    words += [f"--{name.replace('_', '-')}" for name in ("resume", "same_names_differ") if getattr(arguments, name)]
    return words + [f"--set={assignment}" for assignment in arguments.assignments]


def _processes_to_start(arguments: argparse.Namespace) -> int:
    """How many processes --processes means.

    Raises:
        ConfigError: This is one of several processes itself.
        DeviceError: There are too few graphics cards.
    """
    from cisfa.errors import ConfigError, DeviceError
    from cisfa.training.launch_variables import is_one_of_several

    if is_one_of_several(os.environ):
        raise ConfigError("torchrun has started several processes already: leave out --processes.")
    wanted: int = arguments.processes
    if wanted == 1 or (wanted > 1 and arguments.device == "cpu"):
        return wanted
    from cisfa.training.join_processes import card_count

    cards = card_count()
    if wanted == 0:
        if cards < 2 or arguments.device in ("cpu", "mps"):
            have = "one CUDA card" if cards == 1 else "no CUDA card" if cards == 0 else f"{cards} CUDA cards"
            raise DeviceError(
                f"--processes all starts one process a CUDA card; this computer has {have}, and --device is"
                f" {arguments.device}. Leave it out to train in one process, or say how many there are to be."
            )
        return cards
    if wanted > cards > 0:
        raise DeviceError(
            f"--processes is {wanted}, but this computer has {cards} CUDA card{'s' if cards > 1 else ''}, and each"
            " process needs one of its own. Start fewer, or use --device cpu."
        )
    return wanted


def _write_slurm_script(arguments: argparse.Namespace, report: Report) -> None:
    import shlex

    from cisfa.errors import ConfigError
    from cisfa.runs.slurm import SlurmOptions, slurm_script
    from cisfa.whole_files import write_text

    if arguments.processes is not None:
        raise ConfigError("--processes is for this computer: give --slurm-nodes and --slurm-gpus to --write-slurm.")
    said_otherwise = ("--run=", "--cases=", "--config=")
    more = [word for word in words_of(arguments) if not word.startswith(said_otherwise) and word != "--resume"]
    options = SlurmOptions(
        run=arguments.run,
        cases=arguments.cases,
        config=arguments.config,
        job_name=f"cisfa-{arguments.run.name}",
        nodes=arguments.slurm_nodes,
        gpus_per_node=arguments.slurm_gpus,
        hours=arguments.slurm_hours,
        python=tuple(shlex.split(arguments.slurm_python)),
        more=tuple(more),
    )
    write_text(arguments.write_slurm, slurm_script(options))
    report(Finished((str(arguments.write_slurm),)))


def _train_quietly(arguments: argparse.Namespace, report: Report, processes: "Processes") -> None:
    """Train as one of several processes that is not the first, which speaks for all.

    Raises:
        SystemExit: When training ended, well or not; without an error, since who started the processes would take that
            for this one's own, and end the first before it has written all it has to.
    """
    from cisfa.errors import CisfaError
    from cisfa.training.processes import LostProcessError

    def listen(event: Event) -> None:
        # what nobody is shown raises all the same when somebody asked this process to stop
        if isinstance(event, Progress | Metric):
            report(Metric(0))

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        try:
            _train(arguments, listen, processes)
        except LostProcessError:
            raise
        except CisfaError:
            raise SystemExit(0) from None
    raise SystemExit(0)


def _train(arguments: argparse.Namespace, report: Report, processes: "Processes") -> None:
    from cisfa.config_files import DEFAULT_PRESET, compose
    from cisfa.data_sets.record import chosen_by_labels
    from cisfa.training.run_folder import RunFolder
    from cisfa.training.session import run_training

    folder = RunFolder(arguments.run)
    with processes.agreement():
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
        cases = _find_cases(arguments, config, report)
        for line in chosen_by_labels(case.volume for case in cases.target):
            report(Notice(line))
    run_training(folder, cases, config, processes.device, report, processes=processes)
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
