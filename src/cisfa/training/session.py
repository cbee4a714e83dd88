"""One training run from folders of cases to the last checkpoint: start or resume, read, train."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace

import torch

from cisfa import __version__
from cisfa.cases.case_folder import CaseFiles
from cisfa.cases.training_files import require_files
from cisfa.config import Modality, TrainingConfig
from cisfa.config_files import flat_values, to_json_values
from cisfa.errors import CaseError, ConfigError, RunError, VolumeFileError
from cisfa.events import Notice, Progress, Report
from cisfa.imaging.organs import Organ, organs_from_names
from cisfa.runs.run_data import RunData
from cisfa.training.checkpoint import latest_checkpoint
from cisfa.training.environment import describe_environment
from cisfa.training.memory import peak_memory_mb
from cisfa.training.method import Method
from cisfa.training.methods import MethodEntry, method_named
from cisfa.training.processes import Alone, Processes
from cisfa.training.recorder import Recorder
from cisfa.training.reference import training_reference
from cisfa.training.run_folder import RunFolder
from cisfa.training.run_monitor import RunMonitor
from cisfa.training.sampling import FEWEST_CASES_TO_HOLD_OUT, held_out_cases
from cisfa.training.slice_dataset import (
    DomainSlices,
    read_slices,
    require_different_patients_by_series,
    require_no_shared_voxels,
)
from cisfa.training.threads import fitting_threads
from cisfa.training.trainer import Batches, Listener, seed_everything, total_steps, train
from cisfa.training.validation import Validation


@dataclass(frozen=True)
class TrainingCases:
    """What a run learns from.

    Attributes:
        source: Cases with label maps.
        target: Cases of the other domain, whose label maps are never opened but for few labels where the settings say
            so; none for a method that knows just one.
        organs: Named beside the source cases; None takes the config's.
    """

    source: Sequence[CaseFiles]
    target: Sequence[CaseFiles]
    organs: tuple[Organ, ...] | None = None


def run_training(
    folder: RunFolder,
    cases: TrainingCases,
    config: TrainingConfig | None,
    device: torch.device,
    report: Report,
    *,
    processes: Processes | None = None,
) -> None:
    """Train in a run folder until the schedule's end.

    Args:
        folder: New, or holding a run to resume.
        cases: The same ones as before when resuming.
        config: A new run's settings; None resumes with the run's own. Settings given when resuming may change the
            length of the schedule only.
        device: Where to train.
        report: Hears progress, metrics and notices; what it raises ends the run after a checkpoint.
        processes: Those that train this run together, each of which calls this with the same arguments but its own
            device; only the first writes into the folder. None where this one is alone.

    Raises:
        CisfaError: Cases, settings or the folder cannot be used; see the parts.
    """
    processes = processes or Alone(device)
    with ExitStack() as held:
        with processes.agreement():
            if processes.is_first:
                held.enter_context(folder.lock())
            config = _settle(folder, config)
            _require_equal_shares(config, processes.share.count)
            monitor = None
            if processes.is_first:
                monitor = RunMonitor(folder, report, lambda: peak_memory_mb(device))
                held.enter_context(monitor.watching())
        _run(folder, cases, config, processes, monitor or report)


def _run(
    folder: RunFolder, cases: TrainingCases, config: TrainingConfig, processes: Processes, heard_by: RunMonitor | Report
) -> None:
    entry, device = method_named(config.method), processes.device
    monitor, report = (heard_by, heard_by.report) if isinstance(heard_by, RunMonitor) else (None, heard_by)
    with processes.agreement():
        domains, data = _read_domains(cases, config, entry, report)
        if folder.exists:
            _require_same_data(folder.read_data(), data)
        method, done = _build(folder, entry, config, data, processes, report)
    steps = total_steps(config, data.source_slices, data.target_slices)
    processes.require_same({"settings": config, "cases": data, "checkpoint": done, "version": __version__})
    processes.copy_from_first(value for network in method.networks.values() for value in network.state_dict().values())
    with processes.agreement():
        if monitor:
            # only now, so that cases or settings that cannot be used leave no run behind
            _write_down(folder, config, data, processes)
            monitor.begin_training(done, steps)
        if done >= steps:
            report(Notice(f"The run has done its {steps} steps already."))
            return
        source = domains.source.to(device)
        target = domains.target.to(device) if entry.has_target else replace(source, labels=None)
        validation = Validation(domains.held_out, target, organs=data.organs, config=config, source=domains.source)
    batches, started = Batches(config, source, target, processes), time.monotonic()
    try:
        with _recorder(folder, data, done, heard_by) as recorder, fitting_threads(config, device):
            train(method, batches, validation, folder=folder, recorder=recorder, steps=(done, steps))
    finally:
        if monitor:
            with suppress(VolumeFileError):  # a full disk, which ended the training: that is to be told, not this
                folder.add_trained_s(time.monotonic() - started)


def _recorder(
    folder: RunFolder, data: RunData, done: int, heard_by: RunMonitor | Report
) -> AbstractContextManager[Recorder | Listener]:
    if isinstance(heard_by, RunMonitor):
        return Recorder(folder, from_step=done, organs=data.organs, report=heard_by.report)
    return nullcontext(Listener(heard_by))


def _require_equal_shares(config: TrainingConfig, processes: int) -> None:
    if config.optimiser.batch_size % processes:
        raise ConfigError(
            f"optimiser.batch_size is {config.optimiser.batch_size}; it counts the slices of all {processes} processes"
            f" together, so it must be a multiple of {processes}."
        )


def _settle(folder: RunFolder, config: TrainingConfig | None) -> TrainingConfig:
    """The settings to train with, after comparing them with those of the run that the folder holds."""
    if not folder.exists:
        if config is None:
            raise RunError(f"{folder.path} holds no run to resume. Start one without --resume.")
        folder.require_startable()
        return config
    recorded = folder.read_config()
    if config is None or config == recorded:
        return recorded
    if replace(config, schedule=recorded.schedule) != recorded:
        raise ConfigError(
            f"{folder.path} was started with other settings ({_difference(recorded, config)}). Resume it without"
            " settings, or start a new run; only schedule.* may change."
        )
    return config


def _write_down(folder: RunFolder, config: TrainingConfig, data: RunData, processes: Processes) -> None:
    if folder.exists:
        folder.write_config(config)
    else:
        folder.start(config)
    folder.prepare()
    folder.write_data(data)
    several = {"processes": processes.share.count} if processes.share.count > 1 else {}
    folder.write_environment({**describe_environment(processes.device), **several})


def _difference(recorded: TrainingConfig, config: TrainingConfig) -> str:
    """The first setting that differs, in words."""
    before, now = flat_values(to_json_values(recorded)), flat_values(to_json_values(config))
    names = [name for name in (*before, *now) if before.get(name) != now.get(name) and not name.startswith("schedule.")]
    return f"{names[0]} {before.get(names[0])} there, {now.get(names[0])} here"


@dataclass(frozen=True, eq=False)
class _Domains:
    """The slices of a run.

    Attributes:
        source: Of the source cases that are learned from.
        held_out: Of those that are kept from training; None where there are none.
        target: Of the target cases; without a second domain the source's own.
    """

    source: DomainSlices
    held_out: DomainSlices | None
    target: DomainSlices


def _read_domains(
    cases: TrainingCases, config: TrainingConfig, entry: MethodEntry, report: Report
) -> tuple[_Domains, RunData]:
    organs = cases.organs or organs_from_names(config.organs)
    require_files([*cases.source, *(_target_cases(cases, config) if entry.has_target else ())])

    def read(domain: str, files: Sequence[CaseFiles], choice: str) -> DomainSlices:
        modality: Modality | None = None if choice == "auto" else ("CT" if choice == "CT" else "MR")
        slices = read_slices(
            files, config.preprocessing, modality=modality, organs=organs, on_case=_telling(report, domain)
        )
        report(Notice(f"{domain}: {len(files)} cases, {len(slices)} slices, read as {slices.modality}."))
        if slices.without_contrast:
            several = f"{slices.without_contrast} more slices show nothing and are"
            left_out = "1 more slice shows nothing and is" if slices.without_contrast == 1 else several
            report(Notice(f"{domain}: {left_out} left out."))
        return slices

    source = read("source", cases.source, config.source_modality)
    target = replace(source, labels=None)
    if entry.has_target:
        target = read("target", _target_cases(cases, config), config.target_modality)
        require_no_shared_voxels(source, cases.source, target, cases.target)
        require_different_patients_by_series(source, cases.source, target, cases.target)
    held_out = held_out_cases(source.fingerprints, config.validation.held_out, seed=config.seed)
    report(Notice(_about_held_out(len(held_out), len(cases.source), config)))
    learned = [case for case in range(len(cases.source)) if case not in held_out]
    domains = _Domains(
        source=source.of_cases(learned) if held_out else source,
        held_out=source.of_cases(held_out) if held_out else None,
        target=target,
    )
    if not entry.has_target:
        domains = replace(domains, target=replace(domains.source, labels=None))
    data = _describe_data(organs, source, target)
    return domains, replace(
        data, source_slices=len(domains.source), target_slices=len(domains.target), held_out_cases=len(held_out)
    )


def _target_cases(cases: TrainingCases, config: TrainingConfig) -> list[CaseFiles]:
    """The target's cases with no more labels than may be read."""
    if config.few_labels.weight == 0:
        return [replace(case, labels=None, few_labels=None) for case in cases.target]
    if not any(case.few_labels for case in cases.target):
        raise CaseError(
            f"few_labels.weight is {config.few_labels.weight}, but no target case has few labels. Draw every organ on"
            " some slices of a target case and name that label map in the list of cases (few_labels), or leave the"
            " weight at 0."
        )
    return [replace(case, labels=None) for case in cases.target]


def _about_held_out(held_out: int, cases: int, config: TrainingConfig) -> str:
    if held_out:
        return f"{held_out} of the {cases} source cases {'is' if held_out == 1 else 'are'} held out for validation."
    why = (
        "validation.held_out is 0"
        if config.validation.held_out == 0
        else f"with {cases} source cases none can be spared (from {FEWEST_CASES_TO_HOLD_OUT} on one is)"
    )
    return f"No source case is held out: {why}. So validation measures no Dice."


def _telling(report: Report, domain: str) -> Callable[[int, int], None]:
    return lambda done, count: report(Progress(f"reading {domain} cases", done / count))


def _describe_data(organs: tuple[Organ, ...], source: DomainSlices, target: DomainSlices) -> RunData:
    return RunData(
        organs=organs,
        source_modality=source.modality,
        target_modality=target.modality,
        source_fingerprints=source.fingerprints,
        target_fingerprints=target.fingerprints,
        source_label_fingerprints=source.label_fingerprints,
        source_slices=len(source),
        target_slices=len(target),
        target_range=(float(target.voxels.min()), float(target.voxels.max())),
        few_label_fingerprints=target.few.fingerprints if target.few else (),
        reference=training_reference(source, target, organs),
    )


def _require_same_data(recorded: RunData | None, data: RunData) -> None:
    if recorded is None or recorded == data:
        return
    differences = [
        f"{what} ({len(before)} then, {len(now)} now)" if len(before) != len(now) else what
        for what, before, now in (
            ("source cases", recorded.source_fingerprints, data.source_fingerprints),
            ("target cases", recorded.target_fingerprints, data.target_fingerprints),
            ("labels of source cases", recorded.source_label_fingerprints, data.source_label_fingerprints),
            ("few labels of target cases", recorded.few_label_fingerprints, data.few_label_fingerprints),
            ("organs", recorded.organs, data.organs),
        )
        if before != now
    ]
    raise RunError(
        f"The run was started with other {' and '.join(differences) or 'slices of these cases'}. Resume it with the"
        " same folders, or start a new run."
    )


def _build(
    folder: RunFolder,
    entry: MethodEntry,
    config: TrainingConfig,
    data: RunData,
    processes: Processes,
    report: Report,
) -> tuple[Method, int]:
    """The method in its newest state, and the steps it has done."""
    seed_everything(config.seed)
    method = entry.build(
        config,
        classes=len(data.organs) + 1,
        target_range=data.target_range,
        device=processes.device,
        processes=processes,
    )
    checkpoint = latest_checkpoint(folder.checkpoints, device=processes.device)
    if checkpoint is None:
        return method, 0
    checkpoint.restore(method)
    if checkpoint.damaged:
        report(
            Notice(f"{' and '.join(checkpoint.damaged)} cannot be read; the run goes on from step {checkpoint.step}.")
        )
    return method, checkpoint.step
