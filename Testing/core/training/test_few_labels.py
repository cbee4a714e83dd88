"""Sparse supervision: slices of target cases that the user drew on purpose."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cisfa.cases.case_folder import CaseFiles, labelled_cases, unlabelled_cases
from cisfa.config import PreprocessingConfig, TrainingConfig
from cisfa.config_files import compose
from cisfa.errors import Cancelled, CaseError, CisfaError, ConfigError, GeometryError, RunError, VolumeFileError
from cisfa.events import Event, Metric
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.volume import LabelMap
from cisfa.imaging.volume_files import read_label_map, write_label_map, write_volume
from cisfa.phantom.case import make_case
from cisfa.phantom.tissues import Domain
from cisfa.training.checkpoint import latest_checkpoint
from cisfa.training.crossval import cross_validate
from cisfa.training.method import Batch, Method
from cisfa.training.methods import method_named
from cisfa.training.run_folder import RunFolder
from cisfa.training.sampling import rng_of_step
from cisfa.training.session import TrainingCases, run_training
from cisfa.training.slice_dataset import DomainSlices, FewLabels, read_slices
from cisfa.training.study import Study
from cisfa.training.study_rows import table_of_methods
from cisfa.training.trainer import Batches, seed_everything

CPU = torch.device("cpu")
Tiny = Callable[..., TrainingConfig]
ORGANS = organs_from_names({"1": "liver", "3": "spleen"})
DRAWN = (1, 4)


def draw_few(
    case: CaseFiles, path: Path, slices: tuple[int, ...] = DRAWN, meaning: dict[int, int] | None = None
) -> CaseFiles:
    """The case without its labels, but with those on some slices (of the file) in a file of their own."""
    assert case.labels is not None
    whole = read_label_map(case.labels)
    voxels = np.zeros_like(whole.voxels)
    for number in slices:
        voxels[number] = whole.voxels[number]
    for value, other in (meaning or {}).items():
        voxels[voxels == value] = other
    write_label_map(LabelMap(voxels, whole.geometry), path)
    values = {other: value for value, other in meaning.items()} if meaning else None
    return replace(case, labels=None, few_labels=path, values=values)


def read(cases: list[CaseFiles], size: int = 32) -> DomainSlices:
    config = PreprocessingConfig(size=size)
    return read_slices(cases, config, modality=None, organs=ORGANS, on_case=lambda *_: None)


@pytest.fixture
def target(domains: Any, tmp_path: Path) -> list[CaseFiles]:
    """Three target cases, the second of which has few labels."""
    first, second, third = labelled_cases(domains.target)
    return [replace(first, labels=None), draw_few(second, tmp_path / "few.nii.gz"), replace(third, labels=None)]


def test_only_the_slices_that_were_drawn_are_labelled(domains: Any, target: list[CaseFiles]) -> None:
    slices, whole = read(target), read(labelled_cases(domains.target))
    assert slices.labels is None
    assert slices.few is not None
    assert whole.labels is not None
    axial = whole.labels[6:12]
    assert slices.few.at.tolist() == sorted(set(slices.few.at.tolist()))
    # the grid lies askew, so which slice is which is seen from the labels
    for at, labels in zip(slices.few.at.tolist(), slices.few.labels, strict=True):
        assert 6 <= at < 12
        assert torch.equal(labels, axial[at - 6])
        assert labels.any()
    assert len(slices.few.at) == len(DRAWN) < int(axial.any(dim=(1, 2)).sum())
    assert torch.equal(slices.voxels, whole.voxels)
    assert [bool(one) for one in slices.few.fingerprints] == [False, True, False]


def test_few_labels_may_have_values_of_their_own(domains: Any, target: list[CaseFiles], tmp_path: Path) -> None:
    renamed = draw_few(labelled_cases(domains.target)[1], tmp_path / "own.nii.gz", meaning={1: 12, 3: 5})
    one, other = read(target).few, read([target[0], renamed, target[2]]).few
    assert one is not None
    assert other is not None
    assert torch.equal(one.labels, other.labels)
    assert one.fingerprints == other.fingerprints


def test_a_drawing_that_means_nothing_to_be_learned_is_no_drawing(domains: Any, tmp_path: Path) -> None:
    case = draw_few(labelled_cases(domains.target)[1], tmp_path / "own.nii.gz")
    only_spleen = replace(case, values={1: 0, 3: 3})
    few = read([only_spleen]).few
    assert few is not None
    assert few.labels.unique().tolist() == [0, 2]
    with pytest.raises(CaseError, match=r"own\.nii\.gz holds no organ at all"):
        read([replace(case, values={1: 0, 3: 0})])


def test_domains_without_few_labels_have_none(domains: Any) -> None:
    assert read(labelled_cases(domains.target)).few is None


def spoil(case: CaseFiles, change: Callable[[LabelMap], LabelMap]) -> None:
    assert case.few_labels is not None
    write_label_map(change(read_label_map(case.few_labels)), case.few_labels)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda one: LabelMap(one.voxels * 0, one.geometry), CaseError, "few.nii.gz holds no organ at all"),
        (lambda one: LabelMap(one.voxels * 9, one.geometry), CaseError, "few.nii.gz holds the label value 9, but"),
        (
            lambda one: LabelMap(one.voxels[:, 1:], Geometry((6, 39, 48), one.geometry.index_to_lps)),
            GeometryError,
            "few.nii.gz has",
        ),
    ],
)
def test_few_labels_that_cannot_be_used_are_named(
    target: list[CaseFiles], change: Callable[[LabelMap], LabelMap], error: type[CisfaError], words: str
) -> None:
    spoil(target[1], change)
    with pytest.raises(error, match=words):
        read(target)


def test_a_drawing_too_small_for_the_slices_is_named(target: list[CaseFiles]) -> None:
    def only_a_corner(one: LabelMap) -> LabelMap:
        voxels = np.zeros_like(one.voxels)
        voxels[1, 0, 0] = 1
        return LabelMap(voxels, one.geometry)

    spoil(target[1], only_a_corner)
    with pytest.raises(CaseError, match=r"drawn in .*few\.nii\.gz lies outside of the body, on slices without"):
        read(target)


def test_each_step_has_a_batch_of_drawn_slices_with_their_labels(
    tiny: Tiny, domains: Any, target: list[CaseFiles]
) -> None:
    still = ("augmentation.rotation_degrees=0", "augmentation.scaling=0", "augmentation.shift=0")
    slices = read(target)
    assert slices.few is not None
    batches = Batches(tiny(*still, "optimiser.batch_size=3"), read(labelled_cases(domains.source)), slices)
    known = {
        slices.voxels[at].numpy().tobytes(): labels for at, labels in zip(slices.few.at, slices.few.labels, strict=True)
    }
    seen = set()
    for step in range(4):
        batch = batches.at(step)
        assert batch.few is not None
        assert batch.few_labels is not None
        assert (batch.few.shape, batch.few.dtype) == (batch.source.shape, torch.float32)
        for one, labels in zip(batch.few, batch.few_labels, strict=True):
            content = one.half().numpy().tobytes()
            assert torch.equal(known[content].long(), labels)
            seen.add(content)
    assert seen == set(known)


def test_drawn_slices_are_moved_with_their_labels_and_unlike_the_others(tiny: Tiny, domains: Any) -> None:
    """One slice on all three sides: each side has chance of its own."""
    one = read(labelled_cases(domains.target)).of_cases([0])
    assert one.labels is not None
    number = int(one.labels.flatten(1).any(1).nonzero()[0])
    voxels, labels = one.labels[number : number + 1, None].half(), one.labels[number : number + 1]
    source = replace(one, voxels=voxels, labels=labels)
    few = FewLabels(torch.tensor([0]), labels, ("a",))
    batch = Batches(tiny("augmentation.shift=0.2"), source, replace(source, labels=None, few=few)).at(3)
    assert batch.few is not None
    assert batch.few_labels is not None
    assert not torch.equal(batch.few, batch.target)
    assert not torch.equal(batch.few_labels, batch.labels)
    # the slice is its own labels, so moved alike they still agree but for what is blended at edges
    assert ((batch.few[:, 0] - batch.few_labels).abs() < 0.51).float().mean() > 0.97
    without = Batches(tiny("augmentation.shift=0.2"), source, replace(source, labels=None)).at(3)
    assert without.few is None
    assert torch.equal(without.source, batch.source)
    assert torch.equal(without.target, batch.target)


def build(name: str, config: TrainingConfig, *, classes: int = 3) -> Method:
    seed_everything(0)
    return method_named(name).build(config, classes=classes, target_range=(-2.0, 3.0), device=CPU)


def a_batch(seed: int = 0) -> Batch:
    """What is 1 and 2 in the source is dark in the drawn slices."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    labels[:, 4:14, 6:20], labels[:, 18:28, 14:30] = 1, 2
    noise = 0.2 * torch.randn((3, 2, 1, 32, 32), generator=rng)
    slices, dark = torch.tensor([0.0, 1.0, 2.0])[labels][:, None], torch.tensor([0.0, -2.0, -1.0])[labels][:, None]
    return Batch(slices + noise[0], labels, dark + noise[1], few=dark + noise[2], few_labels=labels)


@pytest.mark.parametrize("name", ["cisfa", "source-only"])
def test_the_loss_on_drawn_slices_falls_since_it_is_learned_from(tiny: Tiny, name: str) -> None:
    def losses(weight: float) -> list[float]:
        config = tiny(
            f"few_labels.weight={weight}", "networks.segmenter_width=4", "optimiser.learning_rate=0.003",
            "optimiser.precision=float32",
        )  # fmt: skip
        method = build(name, config)
        steps = range(25)
        return [method.step(a_batch(at), rng_of_step(0, at, "method"))["few labels dice"].item() for at in steps]

    with_weight, without = losses(1), losses(0)
    assert with_weight[-1] < 0.85 * with_weight[0]
    assert with_weight[-1] < 0.9 * without[-1]


@pytest.mark.parametrize("name", ["cisfa", "source-only"])
def test_the_segmenter_descends_their_dice_times_its_weight(tiny: Tiny, name: str) -> None:
    """In float32, and without what else the segmenter learns from, gradients of weights 0, 1 and 3 lie on a line."""
    plain = ("optimiser.precision=float32", "segmentation_adversary.weight=0", "feature_contrast.combination=off")

    def gradient(weight: float, batch: Batch) -> list[Tensor]:
        method = build(name, tiny(f"few_labels.weight={weight}", *plain))
        losses = method.step(batch, rng_of_step(0, 0, "method"))
        assert math.isfinite(losses["gradient of segmenter"])
        assert ("few labels dice" in losses) == (batch.few is not None)
        gradients = [parameter.grad for parameter in method.segmenter.parameters()]
        assert all(one is not None for one in gradients)
        return [one.clone() for one in gradients if one is not None]

    batch = a_batch()
    without = gradient(1, replace(batch, few=None, few_labels=None))
    once, thrice = gradient(1, batch), gradient(3, batch)
    assert max(float((a - b).abs().max()) for a, b in zip(once, without, strict=True)) > 1e-4
    for nothing, one, three in zip(without, once, thrice, strict=True):
        torch.testing.assert_close(three - nothing, 3 * (one - nothing), rtol=1e-3, atol=1e-6)


def train(folder: RunFolder, cases: TrainingCases, config: TrainingConfig | None, report: Any = None) -> list[Event]:
    events: list[Event] = []
    run_training(folder, cases, config, CPU, report or events.append)
    return events


def test_without_weight_the_files_are_never_opened(
    tiny: Tiny, domains: Any, target: list[CaseFiles], tmp_path: Path
) -> None:
    assert target[1].few_labels is not None
    target[1].few_labels.write_bytes(b"no label map")
    cases = TrainingCases(labelled_cases(domains.source), target)
    train(RunFolder(tmp_path / "off"), cases, tiny("schedule.steps=1"))
    data = RunFolder(tmp_path / "off").read_data()
    assert data is not None
    assert data.few_label_fingerprints == ()
    with pytest.raises(VolumeFileError, match=r"few\.nii\.gz"):
        train(RunFolder(tmp_path / "on"), cases, tiny("schedule.steps=1", "few_labels.weight=1"))


def test_a_weight_without_any_few_labels_is_refused(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    cases = TrainingCases(labelled_cases(domains.source), unlabelled_cases(domains.target))
    with pytest.raises(CaseError, match=r"few_labels\.weight is 1\.0, but no target case has few labels\. Draw"):
        train(RunFolder(tmp_path / "run"), cases, tiny("few_labels.weight=1"))
    assert not RunFolder(tmp_path / "run").exists


def test_a_method_without_target_has_no_use_for_them(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    cases = TrainingCases(labelled_cases(domains.source), [])
    events = train(RunFolder(tmp_path / "run"), cases, tiny("few_labels.weight=1", method="supervised"))
    measured = [event.values for event in events if isinstance(event, Metric)]
    assert measured
    assert not any("few labels dice" in values for values in measured)


@pytest.mark.parametrize("name", ["cisfa", "source-only"])
def test_a_run_with_few_labels_goes_on_bit_for_bit(
    tiny: Tiny, domains: Any, target: list[CaseFiles], tmp_path: Path, name: str
) -> None:
    cases = TrainingCases(labelled_cases(domains.source), target)
    config = tiny("few_labels.weight=0.5", method=name)
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    train(whole, cases, config)

    def stop(event: Event) -> None:
        if isinstance(event, Metric) and event.step == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(stopped, cases, config, stop)
    train(stopped, cases, None)
    assert stopped.metrics.read_text(encoding="utf-8") == whole.metrics.read_text(encoding="utf-8")
    assert "few labels dice" in whole.metrics.read_text(encoding="utf-8").splitlines()[0].split(",")
    ours, theirs = (latest_checkpoint(folder.checkpoints, device=CPU) for folder in (stopped, whole))
    assert ours is not None
    assert theirs is not None
    for key, value in theirs.networks["segmenter"].items():
        assert torch.equal(ours.networks["segmenter"][key], value)


def test_resuming_with_other_drawings_is_refused(
    tiny: Tiny, domains: Any, target: list[CaseFiles], tmp_path: Path
) -> None:
    cases = TrainingCases(labelled_cases(domains.source), target)
    folder = RunFolder(tmp_path / "run")
    train(folder, cases, tiny("few_labels.weight=1", "schedule.steps=2"))
    values = json.loads((folder.path / "data.json").read_text(encoding="utf-8"))
    assert [len(one) for one in values["few_label_fingerprints"]] == [0, 64, 0]
    draw_few(labelled_cases(domains.target)[1], tmp_path / "few.nii.gz", (1, 3))
    with pytest.raises(RunError, match="started with other few labels of target cases"):
        train(folder, cases, None)
    draw_few(labelled_cases(domains.target)[1], tmp_path / "few.nii.gz")
    train(folder, cases, tiny("few_labels.weight=1", "schedule.steps=3"))


def test_cross_validation_does_without(tiny: Tiny, domains: Any, tmp_path: Path) -> None:
    cases = [replace(case, few_labels=case.labels) for case in labelled_cases(domains.target)]
    config = tiny("few_labels.weight=1")
    rows = table_of_methods(["cisfa"], config).rows
    study = Study(labelled_cases(domains.source), cases, ORGANS, rows, 3, config)
    with pytest.raises(ConfigError, match=r"few_labels\.weight is 1\.0; cross-validation"):
        cross_validate(study, tmp_path / "study", CPU, lambda event: None, resume=False)
    assert not (tmp_path / "study").exists()


def phantom(domain: Domain, number: int, folder: Path) -> CaseFiles:
    name = f"{domain}_{number}.nii.gz"
    volume, label_map = make_case(domain, seed=5, index=number, severity=0.3, size="small")
    write_volume(volume, folder / "images" / name)
    write_label_map(label_map, folder / "labels" / name)
    return CaseFiles(name, folder / "images" / name, folder / "labels" / name)


def test_three_drawn_slices_of_one_patient_help_on_others(tmp_path: Path) -> None:
    """Source-only from CT to MR phantoms: mean Dice on two other patients; see docs/results.md for more."""
    names = {"1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"}
    config = compose(
        assignments=[
            "preprocessing.size=64", "networks.segmenter_width=8", "optimiser.learning_rate=0.002",
            "optimiser.precision=float32", "optimiser.cooldown=1", "few_labels.weight=1",
        ]
    )  # fmt: skip

    def slices(cases: list[CaseFiles]) -> DomainSlices:
        organs = organs_from_names(names)
        return read_slices(cases, config.preprocessing, modality=None, organs=organs, on_case=lambda *_: None)

    source = slices([phantom("ct", number, tmp_path) for number in range(2)])
    first, *others = [phantom("mr", number, tmp_path) for number in range(3)]
    drawn, test = slices([draw_few(first, tmp_path / "few.nii.gz", (4, 6, 8))]), slices(others)
    assert drawn.few is not None
    assert len(drawn.few.at) == 3

    def dice_after_training(target: DomainSlices) -> float:
        method = build("source-only", config, classes=5)
        batches = Batches(config, source, target)
        for step in range(140):
            method.set_progress(done=step, steps=140)
            method.step(batches.at(step), rng_of_step(0, step, "method"))
        with torch.no_grad():
            found = method.segmenter(test.voxels.float()).argmax(1)
        return float(np.mean([_dice(found == kind, test.labels == kind) for kind in range(1, 5)]))

    without, with_few = dice_after_training(replace(drawn, few=None)), dice_after_training(drawn)
    assert with_few > without + 0.2
    assert with_few > 0.4


def _dice(ours: Tensor, theirs: Tensor) -> float:
    return 2 * int((ours & theirs).sum()) / max(1, int(ours.sum()) + int(theirs.sum()))
