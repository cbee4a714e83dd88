"""``cisfa check``: before a training starts, say what is wrong with its cases and settings, and what it will take."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cisfa.cli.train import add_settings_arguments
from cisfa.errors import CaseError, CisfaError
from cisfa.events import Finished, Notice, Report

if TYPE_CHECKING:
    from cisfa.cases.case_list import CaseList
    from cisfa.cases.check_report import CaseFacts, CheckReport, Estimate, Finding
    from cisfa.config import TrainingConfig

HELP = (
    "look at the cases of a list, or of two folders, and say before a training starts what is wrong with cases and"
    " settings, how long it will take, and how much memory and disk space"
)


class CheckError(CisfaError):
    """A training with these cases and settings could not start, or could not succeed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--source", type=Path, metavar="DIR", help="folder with images/ and labels/")
    parser.add_argument("--target", type=Path, metavar="DIR", help="folder with images/; its labels are never opened")
    parser.add_argument(
        "--cases", type=Path, metavar="FILE", help="list of cases instead of the folders, as CISFA Training saves it"
    )
    parser.add_argument(
        "--report", type=Path, required=True, metavar="OUT.json",
        help="file for what was found; it names the cases, so it stays on this computer",
    )  # fmt: skip
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder for thumbnails, and for facts that make a second look instant"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="where the run would be written: is there disk space?")
    parser.add_argument(
        "--facts-only", action="store_true", help="only look at the cases: no settings, no estimate, always done"
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    add_settings_arguments(parser)


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command.

    Raises:
        CheckError: Something has to be mended before a training can start; the report has been written.
        CisfaError: The list or the settings cannot be read, or the report cannot be written.
    """
    from cisfa.cases.check_report import CheckReport, write_check_report
    from cisfa.cases.fact_cache import FactCache
    from cisfa.cases.findings import case_problems, errors_first
    from cisfa.cases.inspection import inspect_cases
    from cisfa.config_files import DEFAULT_PRESET, compose

    config = compose(
        preset=arguments.preset or DEFAULT_PRESET,
        file=arguments.config,
        assignments=arguments.assignments,
        method=arguments.method,
    )
    cases = _cases(arguments, config)
    cache = FactCache(arguments.cache) if arguments.cache else None
    facts = inspect_cases(cases, config, report, cache=cache)
    if arguments.facts_only:
        # a list that grows: what it lacks is not yet wrong, and torch is not needed
        problems = (*case_problems(facts, cases, config, has_target=bool(cases.target)), *_label_choices(cases))
        found = CheckReport(facts, errors_first(problems))
        write_check_report(found, arguments.report)
    else:
        found = _whole_report(arguments, cases, facts, config, report)
        write_check_report(found, arguments.report)
        for line in _in_words(found):
            report(Notice(line))
        _require_no_error(found)
    report(Finished((str(arguments.report),)))


def _cases(arguments: argparse.Namespace, config: "TrainingConfig") -> "CaseList":
    """The cases of a list, or of folders as ``cisfa train`` takes them: what labels of the target say is not asked."""
    from cisfa.cases.case_folder import labelled_cases, organs_beside, require_different_patients, unlabelled_cases
    from cisfa.cases.case_list import CaseList, ListedCase, read_case_list
    from cisfa.imaging.organs import organs_from_names
    from cisfa.imaging.segments import Segment

    has_folders = bool(arguments.source or arguments.target)
    if bool(arguments.cases) == has_folders:
        raise CaseError("Name the cases: either --source with --target, or --cases FILE.")
    if arguments.cases:
        return read_case_list(arguments.cases)
    source = labelled_cases(arguments.source) if arguments.source else []
    target = unlabelled_cases(arguments.target) if arguments.target else []
    require_different_patients(source, target)
    organs = (organs_beside(arguments.source) if arguments.source else None) or organs_from_names(config.organs)
    segments = tuple(Segment(organ.label, organ.name, organ.type, organ.laterality) for organ in organs)
    return CaseList(
        source=tuple(ListedCase(case.name, case.volume, case.labels, segments=segments) for case in source),
        target=tuple(ListedCase(case.name, case.volume) for case in target),
        organs=organs,
        mapping={segment.key: segment.name for segment in segments},
    )


def _whole_report(
    arguments: argparse.Namespace,
    cases: "CaseList",
    facts: "tuple[CaseFacts, ...]",
    config: "TrainingConfig",
    report: Report,
) -> "CheckReport":
    """Facts and findings, and an estimate where there is anything to learn from."""
    from cisfa.cases.check_report import CheckReport
    from cisfa.cases.findings import case_problems, errors_first, estimate_problems, setting_problems
    from cisfa.cli.machine import memory_bytes
    from cisfa.inference.device import choose_device
    from cisfa.training.estimate import Room, estimate_training, workload_of
    from cisfa.training.methods import method_named

    has_target = method_named(config.method).has_target
    of_settings = setting_problems(config)
    of_labels = _label_choices(cases) if has_target else ()
    findings = (*of_settings, *case_problems(facts, cases, config, has_target=has_target), *of_labels)
    work = workload_of(facts, config, organs=len(cases.organs))
    if of_settings or not work.source_slices or (has_target and not work.target_slices) or not cases.organs:
        return CheckReport(facts, errors_first(findings))
    memory = memory_bytes()
    room = Room(memory["free"], memory["total"], arguments.run)
    estimate = estimate_training(config, work, choose_device(arguments.device, report), room, report)
    return CheckReport(facts, errors_first((*findings, *estimate_problems(estimate))), estimate)


def _label_choices(cases: "CaseList") -> "tuple[Finding, ...]":
    """Target cases that ``cisfa prepare`` cut or chose by their labels."""
    from cisfa.cases.check_report import Finding
    from cisfa.data_sets.record import chosen_by_labels

    volumes = [case.volume for case in cases.target]
    return tuple(Finding("warning", message, domain="target") for message in chosen_by_labels(volumes))


def _in_words(found: "CheckReport") -> Iterable[str]:
    for finding in found.findings:
        yield f"{finding.severity}: {finding.message}"
    if found.estimate is not None:
        yield _estimate_in_words(found.estimate)


def _estimate_in_words(estimate: "Estimate") -> str:
    how_long = "it could not be found out how long they take"
    if estimate.total_s is not None and estimate.step_s is not None:
        how_long = (
            f"about {_duration(estimate.total_s)} ({estimate.step_s:.2g} s a step, {estimate.time_basis}"
            f"{' from smaller slices' if estimate.time_basis == 'extrapolated' else ''})"
        )
    return (
        f"Training takes {estimate.steps} steps on {estimate.device}: {how_long}. It needs about"
        f" {estimate.memory_mib / 1024:.1f} GiB of memory and {estimate.disk_mib / 1024:.1f} GiB on disk."
    )


def _duration(seconds: float) -> str:
    for unit, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds"


def _require_no_error(found: "CheckReport") -> None:
    count = len(found.errors)
    if count == 1:
        raise CheckError(f"This has to be mended before a training can start: {found.errors[0].message}")
    if count:
        raise CheckError(
            f"{count} things have to be mended before a training can start. The first is: {found.errors[0].message}"
        )
