"""What is wrong with cases, settings and computer before a training starts; errors are what training would refuse."""

from collections.abc import Iterable, Iterator, Sequence

from cisfa.cases.case_folder import some_of
from cisfa.cases.case_list import CaseList, ListedCase
from cisfa.cases.check_report import CaseFacts, Domain, Estimate, Finding
from cisfa.cases.label_findings import few_label_problems, label_problems
from cisfa.cases.patient_keys import NamedKeys, patients_in_both
from cisfa.cases.volume_findings import volume_problems
from cisfa.config import TrainingConfig

# as training has it: from so many source cases on one is held out
FEWEST_CASES_TO_HOLD_OUT = 4
_LONG_S = 3 * 24 * 3600.0
# parts of what is free that count as nearly all
_NEARLY_ALL_MEMORY, _NEARLY_ALL_DISK = 0.9, 0.8


def case_problems(
    facts: Sequence[CaseFacts], cases: CaseList, config: TrainingConfig, *, has_target: bool
) -> tuple[Finding, ...]:
    """What is wrong with the cases, errors first.

    Args:
        facts: Of the cases of the list.
        cases: The list.
        config: Of the training.
        has_target: Whether the method learns from target cases; if not, they are passed over.
    """
    read = [one for one in facts if has_target or one.domain == "source"]
    listed = cases if has_target else CaseList(cases.source, (), cases.organs, cases.mapping)
    found = [
        *_numbers_of_cases(listed, config, has_target=has_target),
        *_unreadable(read, config),
        *_without_label_map(listed),
        *label_problems(read, listed, config),
        *(few_label_problems(read, config) if has_target else ()),
        *_same_patients(listed, read),
        *_same_voxels(read),
        *_same_names(listed),
        *volume_problems(read, config),
    ]
    return errors_first(found)


def setting_problems(config: TrainingConfig) -> tuple[Finding, ...]:
    """Settings that cannot work together, whatever the cases."""
    found = []
    batch_size = config.optimiser.batch_size
    if config.method == "cisfa" and config.feature_contrast.combination != "off" and batch_size < 2:
        found.append(
            Finding(
                "error",
                f"optimiser.batch_size is {batch_size}; the feature contrast compares the slices of a batch with each"
                " other. Choose at least 2, or feature_contrast.combination=off.",
            )
        )
    return tuple(found)


def estimate_problems(estimate: Estimate) -> tuple[Finding, ...]:
    """What the computer lacks for a training."""
    return errors_first([*_memory(estimate), *_disk(estimate), *_time(estimate)])


def errors_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings in their order, but errors before warnings."""
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def _numbers_of_cases(cases: CaseList, config: TrainingConfig, *, has_target: bool) -> Iterator[Finding]:
    if not cases.source:
        yield Finding("error", "The list has no source cases. Add annotated cases to learn from.", domain="source")
    elif len(cases.source) < FEWEST_CASES_TO_HOLD_OUT and config.validation.held_out > 0:
        yield Finding(
            "warning",
            f"With {len(cases.source)} source {'case' if len(cases.source) == 1 else 'cases'} none can be held out for"
            f" validation, so no Dice is measured along the way. Add cases, {FEWEST_CASES_TO_HOLD_OUT} or more in all.",
            domain="source",
        )
    if has_target and not cases.target:
        yield Finding("error", "The list has no target cases. Add unlabelled cases to adapt to.", domain="target")


def _unreadable(facts: Sequence[CaseFacts], config: TrainingConfig) -> Iterator[Finding]:
    for one in facts:
        if one.problem is None:
            continue
        # the volume itself has been read to its end; few labels that are not used are not even opened
        is_read = one.domain == "source" or config.few_labels.weight > 0 or one.fingerprint is None
        yield Finding("error" if is_read else "warning", f"{one.name}: {one.problem}", (one.name,), one.domain)


def _without_label_map(cases: CaseList) -> Iterator[Finding]:
    names = tuple(case.name for case in cases.source if case.labels is None)
    if names:
        have = "has no label map" if len(names) == 1 else "have no label maps"
        yield Finding(
            "error",
            f"{some_of(names)} {have}, and source cases need one. Add it, or remove the case.",
            names,
            "source",
        )


def _same_patients(cases: CaseList, facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """By what the list says of patients, and by what is found in DICOM series."""

    def keys(listed: Sequence[ListedCase], domain: Domain) -> list[NamedKeys]:
        told = {one.name: set(one.patient_keys) for one in facts if one.domain == domain}
        for case in listed:
            told.setdefault(case.name, set()).update(case.patient_keys)
        return [(name, sorted(of_one)) for name, of_one in told.items()]

    for source, target in patients_in_both(keys(cases.source, "source"), keys(cases.target, "target")):
        yield Finding(
            "error",
            f"The source case {source} and the target case {target} are of one patient, which would flatter the scores."
            " Remove one of them.",
            tuple(dict.fromkeys((source, target))),
        )


def _same_voxels(facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    groups: dict[str, list[CaseFacts]] = {}
    for one in facts:
        if one.fingerprint is not None:
            groups.setdefault(one.fingerprint, []).append(one)
    for group in groups.values():
        if len(group) < 2:
            continue
        domains: list[Domain] = list(dict.fromkeys(one.domain for one in group))
        names = [one.name if len(domains) == 1 else f"{one.name} ({one.domain})" for one in group]
        where = f"in the {domains[0]}" if len(domains) == 1 else "on both sides"
        yield Finding(
            "error",
            f"{some_of(names)} hold the same voxels: one patient is used twice {where}, which would flatter the scores."
            " Remove all but one of them.",
            tuple(dict.fromkeys(one.name for one in group)),
            domains[0] if len(domains) == 1 else None,
        )


def _same_names(cases: CaseList) -> Iterator[Finding]:
    shared = tuple(sorted({case.name for case in cases.source} & {case.name for case in cases.target}))
    if shared:
        yield Finding(
            "warning",
            f"Source and target both have cases named {some_of(shared)}. One patient must not be on both sides, since"
            " the scores would flatter: remove them from one, unless they are different patients.",
            shared,
        )


def _memory(estimate: Estimate) -> Iterator[Finding]:
    needed, free, total = estimate.memory_mib, estimate.free_memory_mib, estimate.total_memory_mib
    needs = f"Training needs about {_size(needed)} of memory ({estimate.memory_basis}) on {estimate.device}"
    less = "Choose a smaller optimiser.batch_size or preprocessing.size, smaller networks, or fewer cases"
    if total is not None and needed > total:
        yield Finding("error", f"{needs}, which has {_size(total)} in all. {less}, or another device.")
    elif free is not None and needed > _NEARLY_ALL_MEMORY * free:
        yield Finding("warning", f"{needs}, where {_size(free)} are free now. Close other programs. {less}.")


def _disk(estimate: Estimate) -> Iterator[Finding]:
    needed, free = estimate.disk_mib, estimate.free_disk_mib
    if free is None or needed <= _NEARLY_ALL_DISK * free:
        return
    yield Finding(
        "error" if needed > free else "warning",
        f"The run grows to about {_size(needed)}, where {_size(free)} are free. Free some space, choose another place,"
        " or keep fewer checkpoints (schedule.keep_checkpoints).",
    )


def _time(estimate: Estimate) -> Iterator[Finding]:
    if estimate.total_s is not None and estimate.total_s > _LONG_S:
        yield Finding(
            "warning",
            f"On {estimate.device} this training would take about {estimate.total_s / 86400:.0f} days. Use a graphics"
            " card, or a smaller preset.",
        )


def _size(mib: float) -> str:
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"
