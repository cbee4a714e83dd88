"""No dead options: every setting there is, found by introspection, changes what a run leaves behind."""

import csv
import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.cases.case_folder import labelled_cases, unlabelled_cases
from cisfa.config import TrainingConfig
from cisfa.inference import network
from cisfa.runs.run_files import VALIDATION
from cisfa.runs.selection import choose_weights
from cisfa.training.checkpoint import latest_checkpoint
from cisfa.training.export import bundle_of
from cisfa.training.run_folder import RunFolder
from cisfa.training.session import TrainingCases, run_training

Tiny = Callable[..., TrainingConfig]

SHORT = ("schedule.steps=2", "schedule.checkpoint_every=1", "schedule.metrics_every=1")
# setting -> another value, and what it needs to be set to beside it
CHANGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "method": ("source-only", ()),
    "seed": ("1", ()),
    "organs": ('{"1": "liver", "3": "spleen", "7": "stomach"}', ()),
    "source_modality": ("MR", ()),
    "target_modality": ("CT", ()),
    "preprocessing.plane": ("coronal", ()),
    "preprocessing.size": ("36", ()),
    "preprocessing.crop_to_body": ("false", ()),
    "preprocessing.ct_window_hu": ("[-100, 275]", ()),
    "preprocessing.mr_clip_percentile": ("90", ()),
    "networks.generator_width": ("3", ()),
    "networks.generator_blocks": ("3", ()),
    "networks.segmenter_width": ("3", ()),
    "networks.discriminator_width": ("3", ()),
    "patch_contrast.enabled": ("false", ()),
    "patch_contrast.organ_weight": ("3", ()),
    "patch_contrast.temperature": ("0.07", ()),
    "patch_contrast.patches": ("17", ()),
    "feature_contrast.combination": ("sequential", ()),
    "feature_contrast.temperature": ("0.1", ()),
    "segmentation_adversary.pushes": ("target", ()),
    "segmentation_adversary.weight": ("0.5", ()),
    "optimiser.learning_rate": ("0.001", ()),
    "optimiser.cooldown": ("1", ()),
    "optimiser.betas": ("[0.9, 0.99]", ()),
    "optimiser.batch_size": ("3", ()),
    "optimiser.precision": ("float32", ()),
    "augmentation.rotation_degrees": ("10", ()),
    "augmentation.scaling": ("0.3", ()),
    "augmentation.shift": ("0.1", ()),
    "augmentation.gamma": ("0.5", ()),
    "augmentation.elastic": ("0.1", ()),
    "appearance.random_convolution": ("0", ("method=cisfa-plus",)),
    "appearance.gamma": ("0", ("method=cisfa-plus",)),
    "appearance.bias_field": ("0", ("method=cisfa-plus",)),
    "translation.share": ("0", ("method=cisfa-plus",)),
    "translation.structure_weight": ("0", ("method=cisfa-plus",)),
    "teacher.weight": ("0", ("method=cisfa-plus",)),
    "teacher.begin": ("0.5", ("method=cisfa-plus", "teacher.confidence=0")),
    "teacher.ramp_up": ("0", ("method=cisfa-plus", "teacher.confidence=0")),
    "teacher.decay": ("0", ("method=cisfa-plus",)),
    "teacher.confidence": ("0", ("method=cisfa-plus",)),
    "teacher.least_dice": ("0", ("method=cisfa-plus", "teacher.confidence=0")),
    "teacher.filtered": ("false", ("method=cisfa-plus", "teacher.confidence=0")),
    "supervision.cross_entropy": ("0", ("method=cisfa-plus",)),
    "supervision.coordinates": ("true", ("method=cisfa-plus",)),
    "supervision.largest_component": ("false", ("method=cisfa-plus",)),
    "supervision.learning_rate": ("0.005", ("method=cisfa-plus",)),
    "supervision.cooldown": ("0", ("method=cisfa-plus",)),
    "schedule.epochs": ("2", ("schedule.steps=null", "schedule.epochs=1", "optimiser.batch_size=24")),
    "schedule.steps": ("1", ()),
    "schedule.checkpoint_every": ("2", ()),
    "schedule.keep_checkpoints": ("1", ()),
    "schedule.metrics_every": ("2", ()),
    "schedule.preview_every": ("1", ("schedule.steps=3",)),
    "validation.every": ("1", ()),
    "validation.held_out": ("0", ()),
    "selection.by": ("rank", ("validation.every=1",)),
    "selection.keep": ("2", ("validation.every=1", "schedule.steps=4")),
    "selection.skip": ("0", ("validation.every=1", "schedule.steps=4")),
    "few_labels.weight": ("1", ()),
}


def cases_of(domains: Any) -> TrainingCases:
    """One of the target's cases comes with few labels, which only their weight lets in."""
    labelled = labelled_cases(domains.target)[1]
    target = [
        replace(case, few_labels=labelled.labels) if case.name == labelled.name else case
        for case in unlabelled_cases(domains.target)
    ]
    return TrainingCases(labelled_cases(domains.source), target)


def leaves(kind: Any, at: str = "") -> Iterator[str]:
    for field in dataclasses.fields(kind):
        default = field.default
        if dataclasses.is_dataclass(default):
            yield from leaves(type(default), f"{at}{field.name}.")
        else:
            yield f"{at}{field.name}"


# they say when something is written down, and leave the networks alone
ONLY_RECORDED = {
    "schedule.checkpoint_every", "schedule.keep_checkpoints", "schedule.metrics_every", "schedule.preview_every",
    "validation.every", "selection.by", "selection.keep", "selection.skip", "supervision.largest_component",
}  # fmt: skip


class Outcome:
    """What a run left behind: the last weights of each network, and what else can be compared."""

    def __init__(self, folder: RunFolder) -> None:
        checkpoint = latest_checkpoint(folder.checkpoints, device=torch.device("cpu"))
        assert checkpoint is not None
        self.weights = {
            f"{name}: {key}": value for name, state in checkpoint.networks.items() for key, value in state.items()
        }
        kinds = (folder.checkpoints, folder.candidates, folder.previews)
        self.files = sorted(path.name for kind in kinds for path in kind.iterdir())
        self.bundle_of = choose_weights(folder.path).how
        bundle = bundle_of(choose_weights(folder.path), folder.path.parent / "bundle")
        self.keeps_largest = open_bundle(bundle).manifest.largest_component
        self.steps_measured = []
        for path in (folder.metrics, folder.path / VALIDATION):
            with path.open(encoding="utf-8", newline="") as file:
                self.steps_measured.append([row["step"] for row in csv.DictReader(file)])

    def has_other_weights(self, other: "Outcome") -> bool:
        return self.weights.keys() != other.weights.keys() or any(
            value.shape != other.weights[name].shape or not torch.equal(value, other.weights[name])
            for name, value in self.weights.items()
        )

    def has_other_records(self, other: "Outcome") -> bool:
        ours, theirs = ((one.files, one.bundle_of, one.keeps_largest, one.steps_measured) for one in (self, other))
        return ours != theirs


@pytest.fixture(scope="module")
def outcome(tiny: Tiny, larger_domains: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Outcome]:
    known: dict[tuple[str, ...], Outcome] = {}

    def train(*assignments: str) -> Outcome:
        if assignments not in known:
            folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
            cases = cases_of(larger_domains)
            with pytest.MonkeyPatch.context() as patch:  # precision matters on any computer that runs this test
                patch.setattr(network, "_cpu_capabilities", lambda: {"avx512_bf16": True})
                run_training(folder, cases, tiny(*SHORT, *assignments), torch.device("cpu"), lambda event: None)
            known[assignments] = Outcome(folder)
        return known[assignments]

    return train


def test_every_setting_is_tested_here() -> None:
    assert set(leaves(TrainingConfig)) == set(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_changes_what_a_run_leaves_behind(name: str, outcome: Callable[..., Outcome]) -> None:
    value, beside = CHANGES[name]
    before, after = outcome(*beside), outcome(*beside, f"{name}={value}")
    if name in ONLY_RECORDED:
        assert after.has_other_records(before)
        assert not after.has_other_weights(before)
    else:
        assert after.has_other_weights(before)


def test_the_same_settings_leave_the_same_behind(
    tiny: Tiny, larger_domains: Any, tmp_path: Path, outcome: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_cpu_capabilities", lambda: {"avx512_bf16": True})
    folder = RunFolder(tmp_path / "again")
    run_training(folder, cases_of(larger_domains), tiny(*SHORT), torch.device("cpu"), lambda event: None)
    again = Outcome(folder)
    assert not again.has_other_weights(outcome())
    assert not again.has_other_records(outcome())


def test_switching_the_feature_contrast_off_differs_from_both_of_its_kinds(outcome: Callable[..., Outcome]) -> None:
    off = outcome("feature_contrast.combination=off")
    assert off.has_other_weights(outcome())
    assert off.has_other_weights(outcome("feature_contrast.combination=sequential"))


def test_an_organs_name_reaches_the_records(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    cases = TrainingCases(labelled_cases(domains.source), unlabelled_cases(domains.target))
    config = tiny("schedule.steps=1", 'organs={"1": "pancreas", "3": "kidney_left"}')
    run_training(folder, cases, config, torch.device("cpu"), lambda event: None)
    organs = json.loads((folder.path / "data.json").read_text(encoding="utf-8"))["organs"]
    assert [(organ["label"], organ["name"]) for organ in organs] == [(1, "pancreas"), (3, "left kidney")]
