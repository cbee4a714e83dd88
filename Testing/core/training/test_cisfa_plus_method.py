import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cisfa.config import TrainingConfig
from cisfa.training.cisfa_plus_method import CisfaPlusMethod
from cisfa.training.method import Batch
from cisfa.training.methods import METHODS

CPU = torch.device("cpu")
Tiny = Callable[..., TrainingConfig]
TEACHING = {"segmenter", "student", "organ atlas"}
TRANSLATING = {"generator", "patch projector", "slice discriminator"}
ALONE = ("translation.share=0", "teacher.weight=0")


def make_method(config: TrainingConfig) -> CisfaPlusMethod:
    torch.manual_seed(0)
    return CisfaPlusMethod(config, classes=3, target_range=(-2.0, 3.0), device=CPU)


def make_batch(*, target_brightness: float = 1.0) -> Batch:
    labels = torch.zeros(4, 32, 32, dtype=torch.int64)
    labels[:, 4:14, 4:14], labels[:, 18:28, 16:30] = 1, 2
    noise = 0.1 * torch.randn((2, 4, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    slices = torch.tensor([-1.0, 1.0, 2.0])[labels][:, None]
    return Batch(slices + noise[0], labels, target_brightness * slices + noise[1])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def copied(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("settings", "networks"),
    [
        ((), TEACHING | TRANSLATING),
        (("translation.share=0",), TEACHING),
        (("teacher.weight=0",), {"segmenter"} | TRANSLATING),
        (ALONE, {"segmenter"}),
    ],
)
def test_each_switch_brings_its_networks_and_a_step_changes_them_all(
    tiny: Tiny, precision: str, settings: tuple[str, ...], networks: set[str]
) -> None:
    method = make_method(tiny("method=cisfa-plus", f"optimiser.precision={precision}", *settings))
    before = {name: copied(network.state_dict().values()) for name, network in method.networks.items()}
    losses = method.step(make_batch(), rng())
    assert set(method.networks) == networks
    for name, network in method.networks.items():
        assert any(
            not torch.equal(old, new) for old, new in zip(before[name], network.state_dict().values(), strict=True)
        ), name
    assert all(math.isfinite(value) for value in losses.values())
    assert all((value.ndim, value.requires_grad) == (0, False) for value in losses.values())


def test_it_can_be_chosen_by_name() -> None:
    assert METHODS["cisfa-plus"].build is CisfaPlusMethod
    assert METHODS["cisfa-plus"].has_target


def test_its_ceiling_is_the_same_segmenter_on_labels_alone(tiny: Tiny) -> None:
    torch.manual_seed(0)
    ceiling = METHODS["supervised-plus"].build(tiny(), classes=3, target_range=(-2.0, 3.0), device=CPU)
    alone = make_method(tiny(*ALONE))
    losses = [method.step(make_batch(), rng()) for method in (ceiling, alone)]
    assert set(ceiling.networks) == {"segmenter"}
    assert losses[0].keys() == losses[1].keys()
    assert all(torch.equal(value, losses[1][name]) for name, value in losses[0].items())
    assert not METHODS["supervised-plus"].has_target


def test_the_bundle_gets_the_teacher_and_without_one_the_student(tiny: Tiny) -> None:
    method = make_method(tiny())
    assert method.segmenter is method.networks["segmenter"]
    assert method.student is method.networks["student"]
    alone = make_method(tiny(*ALONE))
    assert alone.segmenter is alone.networks["segmenter"]
    assert alone.student is None


def test_the_teacher_is_the_moving_average_of_the_student_and_has_no_gradient(tiny: Tiny) -> None:
    method = make_method(tiny("teacher.decay=0.5", "supervision.learning_rate=0.01"))
    assert method.student is not None
    expected = copied(method.segmenter.parameters())
    for step in range(6):
        method.step(make_batch(), rng(step))
        decay = min(0.5, (2 + step) / (11 + step))  # one more batch is counted before the teacher moves
        expected = [
            decay * old + (1 - decay) * new for old, new in zip(expected, method.student.parameters(), strict=True)
        ]
    for value, average in zip(method.segmenter.parameters(), expected, strict=True):
        torch.testing.assert_close(value, average)
        assert value.grad is None


def test_the_optimiser_of_the_segmenter_moves_the_student(tiny: Tiny) -> None:
    method = make_method(tiny())
    assert method.student is not None
    held = {id(p) for group in method.optimisers["segmenter"].param_groups for p in group["params"]}
    assert held == {id(p) for p in method.student.parameters()}


def test_it_learns_the_organs_of_the_source(tiny: Tiny) -> None:
    method = make_method(tiny(*ALONE, "networks.segmenter_width=4", "supervision.learning_rate=0.01"))
    dice = [method.step(make_batch(), rng(step))["dice"].item() for step in range(40)]
    assert sum(dice[-5:]) < 0.7 * sum(dice[:5])


def test_the_target_has_no_say_without_teacher_and_translation(tiny: Tiny) -> None:
    ends = []
    for brightness in (1.0, -3.0):
        method = make_method(tiny(*ALONE))
        method.step(make_batch(target_brightness=brightness), rng())
        ends.append(copied(method.segmenter.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


@pytest.mark.parametrize("settings", [(), ALONE])
def test_slices_that_somebody_drew_are_learned_from(tiny: Tiny, settings: tuple[str, ...]) -> None:
    ends, batch = [], make_batch()
    for few in (batch.target, 1 - batch.target):
        method = make_method(tiny("few_labels.weight=1", *settings))
        losses = method.step(replace(batch, few=few, few_labels=batch.labels), rng())
        assert 0 < losses["few labels dice"] < 1
        ends.append(copied(method.optimisers["segmenter"].param_groups[0]["params"]))
    assert any(not torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_labels_of_the_source_have_no_say_in_what_the_teacher_labels(tiny: Tiny) -> None:
    """Pseudo-labels are the teacher's own, at full confidence and without the atlas."""
    method = make_method(tiny("teacher.confidence=0", "teacher.filtered=false", "optimiser.precision=float32"))
    batch = make_batch()
    lesson = method._lesson(method.segmenter, batch)
    assert lesson is not None
    with torch.no_grad():
        assert torch.equal(lesson.labels, method.segmenter(batch.target).argmax(1))
    assert lesson.trusted.all()


def test_labels_where_no_source_case_has_that_organ_are_filtered(tiny: Tiny) -> None:
    method = make_method(tiny("teacher.confidence=0"))
    target = make_batch().target
    method.segmenter.head.bias.data = torch.tensor([-99.0, 99.0, -99.0])  # organ 1 everywhere
    _, trusted = method._taught(method.segmenter, target)
    assert not trusted.any()
    unfiltered = make_method(tiny("teacher.confidence=0", "teacher.filtered=false"))
    assert unfiltered._taught(method.segmenter, target)[1].all()


def test_an_organ_that_is_not_learned_yet_is_not_taught(tiny: Tiny) -> None:
    """Organ 1 may lie anywhere, so nothing is taught before it is found in source slices."""
    method = make_method(tiny("teacher.confidence=0"))
    batch = replace(make_batch(), labels=torch.ones_like(make_batch().labels))
    method.learner.head.bias.data = torch.tensor([0.0, -99.0, 0.0])
    method.step(batch, rng())
    assert method.atlas.dice[1] == 0
    assert not method._taught(method.segmenter, batch.target)[1].any()
    method.learner.head.bias.data = torch.tensor([0.0, 99.0, 0.0])
    method.step(batch, rng())
    assert method.atlas.dice[1] > 0.5
    assert method._taught(method.segmenter, batch.target)[1].any()
    always = make_method(tiny("teacher.confidence=0", "teacher.least_dice=0"))
    always.atlas.learn(batch.labels, always.processes)
    assert always._taught(method.segmenter, batch.target)[1].any()


def test_the_teachers_weight_grows_from_where_it_begins(tiny: Tiny) -> None:
    method = make_method(tiny("teacher.weight=2", "teacher.begin=0.25", "teacher.ramp_up=0.5"))
    weights = []
    for done in range(8):
        method.set_progress(done=done, steps=8)
        weights.append(method._teacher_weight())
    grown = [2 * math.exp(-5 * (1 - t) ** 2) for t in (0, 0.25, 0.5, 0.75, 1, 1)]
    assert weights == pytest.approx([0, 0, *grown])
    at_once = make_method(tiny("teacher.ramp_up=0"))
    assert at_once._teacher_weight() == 1


def test_before_the_teacher_begins_the_target_is_not_segmented(tiny: Tiny) -> None:
    """It says nothing yet, and costs nothing; the tables have its columns from the first step on."""
    method, sizes = make_method(tiny("teacher.begin=0.5", "teacher.ramp_up=0", "teacher.confidence=0")), []
    method.learner.register_forward_hook(lambda network, given, found: sizes.append(len(given[0])))
    steps = []
    for done in range(2):
        method.set_progress(done=done, steps=2)
        steps.append(method.step(make_batch(), rng(done)))
    first, second = steps
    assert sizes == [len(make_batch().source), len(make_batch().source) + len(make_batch().target)]
    assert first["teacher"] == first["trusted"] == 0
    assert set(first) == set(second)
    assert second["teacher"] > 0


def test_as_many_slices_are_translated_as_the_share_says(tiny: Tiny) -> None:
    source, synthetic = torch.zeros(400, 1, 2, 2), torch.ones(400, 1, 2, 2)
    for share in (0.25, 1.0):
        mixed = make_method(tiny(f"translation.share={share}"))._some_translated(source, synthetic, rng())
        per_slice = mixed.flatten(1).mean(1)
        assert set(per_slice.tolist()) <= {0.0, 1.0}
        assert per_slice.mean().item() == pytest.approx(share, abs=0.08)


def test_a_step_is_repeatable_and_depends_on_its_generator(tiny: Tiny) -> None:
    def after(seed: int) -> dict[str, float]:
        return {name: value.item() for name, value in make_method(tiny()).step(make_batch(), rng(seed)).items()}

    assert after(0) == after(0)
    assert after(0) != after(1)


def test_the_structure_loss_is_there_where_it_has_a_weight(tiny: Tiny) -> None:
    assert "structure" in make_method(tiny()).step(make_batch(), rng())
    assert "structure" not in make_method(tiny("translation.structure_weight=0")).step(make_batch(), rng())


def test_a_preview_shows_source_translation_and_target(tiny: Tiny) -> None:
    method = make_method(tiny())
    before = {name: copied(network.state_dict().values()) for name, network in method.networks.items()}
    preview = method.preview(make_batch())
    assert list(preview.columns) == ["source", "synthetic", "target"]
    assert set(preview.predictions) == set(preview.columns)
    for name, network in method.networks.items():
        assert all(torch.equal(a, b) for a, b in zip(before[name], network.state_dict().values(), strict=True))
