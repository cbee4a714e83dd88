"""One training run from folders of cases to the last checkpoint: start or resume, read, train."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from cisfa.cases.case_folder import CaseFiles
from cisfa.config import Modality, TrainingConfig
from cisfa.config_files import to_json_values
from cisfa.errors import ConfigError, RunError
from cisfa.events import Notice, Progress, Report
from cisfa.imaging.organs import Organ, organs_from_names
from cisfa.runs.run_data import RunData
from cisfa.training.checkpoint import latest_checkpoint
from cisfa.training.environment import describe_environment
from cisfa.training.memory import peak_memory_mb
from cisfa.training.method import Method
from cisfa.training.methods import MethodEntry, method_named
from cisfa.training.recorder import Recorder
from cisfa.training.run_folder import RunFolder
from cisfa.training.run_monitor import RunMonitor
from cisfa.training.slice_dataset import DomainSlices, read_slices, require_no_shared_voxels
from cisfa.training.trainer import Batches, seed_everything, total_steps, train


@dataclass(frozen=True)
class TrainingCases:
    """What a run learns from.

    Attributes:
        source: Cases with label maps.
        target: Cases of the other domain; none for a method that knows just one.
        organs: Named beside the source cases; None takes the config's.
    """

    source: Sequence[CaseFiles]
    target: Sequence[CaseFiles]
    organs: tuple[Organ, ...] | None = None


def run_training(
    folder: RunFolder, cases: TrainingCases, config: TrainingConfig | None, device: torch.device, report: Report
) -> None:
    """Train in a run folder until the schedule's end.

    Args:
        folder: New, or holding a run to resume.
        cases: The same ones as before when resuming.
        config: A new run's settings; None resumes with the run's own. Settings given when resuming may change the
            length of the schedule only.
        device: Where to train.
        report: Hears progress, metrics and notices; what it raises ends the run after a checkpoint.

    Raises:
        CisfaError: Cases, settings or the folder cannot be used; see the parts.
    """
    with folder.lock():
        config = _settle(folder, config)
        monitor = RunMonitor(folder, report, lambda: peak_memory_mb(device))
        with monitor.watching():
            _run(folder, cases, config, device, monitor)


def _run(
    folder: RunFolder, cases: TrainingCases, config: TrainingConfig, device: torch.device, monitor: RunMonitor
) -> None:
    entry, report = method_named(config.method), monitor.report
    source, target = _read_domains(cases, config, entry, report)
    data = _describe_data(cases, config, source, target)
    if folder.exists:
        _require_same_data(folder.read_data(), data)
    method, done = _build(folder, entry, config, data, device, report)
    # only now, so that cases or settings that cannot be used leave no run behind
    _write_down(folder, config, data, device)
    steps = total_steps(config, len(source), len(target))
    monitor.begin_training(done, steps)
    if done >= steps:
        report(Notice(f"The run has done its {steps} steps already."))
        return
    source = source.to(device)
    target = target.to(device) if entry.has_target else replace(source, labels=None)
    started = time.monotonic()
    try:
        with Recorder(folder, from_step=done, organs=data.organs, report=report) as recorder:
            batches = Batches(config, source, target)
            train(method, batches, folder=folder, recorder=recorder, config=config, steps=(done, steps))
    finally:
        folder.add_trained_s(time.monotonic() - started)


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


def _write_down(folder: RunFolder, config: TrainingConfig, data: RunData, device: torch.device) -> None:
    if folder.exists:
        folder.write_config(config)
    else:
        folder.start(config)
    folder.prepare()
    folder.write_data(data)
    folder.write_environment(describe_environment(device))


def _difference(recorded: TrainingConfig, config: TrainingConfig) -> str:
    """The first setting that differs, in words."""

    def flat(values: dict[str, object], at: str = "") -> dict[str, object]:
        leaves: dict[str, object] = {}
        for name, value in values.items():
            leaves |= flat(value, f"{at}{name}.") if isinstance(value, dict) else {f"{at}{name}": value}
        return leaves

    before, now = flat(to_json_values(recorded)), flat(to_json_values(config))
    names = [name for name in (*before, *now) if before.get(name) != now.get(name) and not name.startswith("schedule.")]
    return f"{names[0]} {before.get(names[0])} there, {now.get(names[0])} here"


def _read_domains(
    cases: TrainingCases, config: TrainingConfig, entry: MethodEntry, report: Report
) -> tuple[DomainSlices, DomainSlices]:
    organs = cases.organs or organs_from_names(config.organs)

    def read(domain: str, files: Sequence[CaseFiles], choice: str) -> DomainSlices:
        modality: Modality | None = None if choice == "auto" else ("CT" if choice == "CT" else "MR")
        slices = read_slices(
            files, config.preprocessing, modality=modality, organs=organs, on_case=_telling(report, domain)
        )
        report(Notice(f"{domain}: {len(files)} cases, {len(slices)} slices, read as {slices.modality}."))
        return slices

    source = read("source", cases.source, config.source_modality)
    if not entry.has_target:
        return source, replace(source, labels=None)
    target = read("target", [replace(case, labels=None) for case in cases.target], config.target_modality)
    require_no_shared_voxels(source, cases.source, target, cases.target)
    return source, target


def _telling(report: Report, domain: str) -> Callable[[int, int], None]:
    return lambda done, count: report(Progress(f"reading {domain} cases", done / count))


def _describe_data(cases: TrainingCases, config: TrainingConfig, source: DomainSlices, target: DomainSlices) -> RunData:
    return RunData(
        organs=cases.organs or organs_from_names(config.organs),
        source_modality=source.modality,
        target_modality=target.modality,
        source_fingerprints=source.fingerprints,
        target_fingerprints=target.fingerprints,
        source_label_fingerprints=source.label_fingerprints,
        source_slices=len(source),
        target_slices=len(target),
        target_range=(float(target.voxels.min()), float(target.voxels.max())),
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
    device: torch.device,
    report: Report,
) -> tuple[Method, int]:
    """The method in its newest state, and the steps it has done."""
    seed_everything(config.seed)
    method = entry.build(config, classes=len(data.organs) + 1, target_range=data.target_range, device=device)
    checkpoint = latest_checkpoint(folder.checkpoints, device=device)
    if checkpoint is None:
        return method, 0
    checkpoint.restore(method)
    if checkpoint.damaged:
        report(
            Notice(f"{' and '.join(checkpoint.damaged)} cannot be read; the run goes on from step {checkpoint.step}.")
        )
    return method, checkpoint.step
