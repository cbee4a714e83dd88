"""Scores that need no target label: what they are, what they cost, and that training does not notice them."""

import json
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cisfa.cases.case_folder import labelled_cases, unlabelled_cases
from cisfa.config import PreprocessingConfig, TrainingConfig
from cisfa.errors import Cancelled
from cisfa.events import Event, Metric, Notice
from cisfa.imaging.organs import organs_from_names, parse_organs
from cisfa.runs.run_curves import CurveReader
from cisfa.runs.run_files import VALIDATION
from cisfa.runs.run_summary import summarise
from cisfa.training import validation as validation_module
from cisfa.training.cisfa_method import CisfaMethod
from cisfa.training.method import Batch
from cisfa.training.run_folder import RunFolder
from cisfa.training.sampling import held_out_cases
from cisfa.training.session import TrainingCases, run_training
from cisfa.training.slice_dataset import DomainSlices, read_slices
from cisfa.training.supervised_method import SupervisedMethod
from cisfa.training.validation import Validation

CPU = torch.device("cpu")
Tiny = Callable[..., TrainingConfig]
ORGANS = parse_organs("1=liver,3=spleen,7=stomach")


class Drawing(nn.Module):
    """Segments by a rule, and remembers what it was shown and in which mode."""

    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule
        self.shown: list[Tensor] = []
        self.was_training: list[bool] = []

    def forward(self, slices: Tensor) -> Tensor:
        self.shown.append(slices)
        self.was_training.append(self.training)
        classes = self.rule(slices[:, 0])
        return nn.functional.one_hot(classes, 4).permute(0, 3, 1, 2).float()


class DrawingMethod:
    """A method whose translation adds something and whose segmenter follows a rule."""

    def __init__(self, rule: Callable[[Tensor], Tensor], *, translation: float = 0.0, student: Any = None) -> None:
        self.segmenter: Any = Drawing(rule)
        self.student: Any = None if student is None else Drawing(student)
        self.networks: dict[str, nn.Module] = {"segmenter": self.segmenter}
        self.translation = translation

    def translate(self, source: Tensor) -> Tensor:
        return source + self.translation


def by_intensity(slices: Tensor) -> Tensor:
    return slices.round().clamp(0, 3).long()


def by_place(slices: Tensor) -> Tensor:
    """Organ 1 in stripes six pixels wide, whatever is shown."""
    return (torch.arange(slices.shape[-1]) // 6 % 2).expand(slices.shape).clone()


def discs(count: int, *, size: int = 64) -> Tensor:
    """Slices (count, 1, size, size) with one round thing of intensity 1 and one of 2 in nothing."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    one = torch.zeros(size, size)
    one[(rows - 0.4 * size) ** 2 + (columns - 0.35 * size) ** 2 < (0.16 * size) ** 2] = 1
    one[(rows - 0.6 * size) ** 2 + (columns - 0.7 * size) ** 2 < (0.14 * size) ** 2] = 2
    return one.expand(count, 1, size, size).clone()


def domain(voxels: Tensor, labels: Tensor | None = None, cases: tuple[int, ...] = ()) -> DomainSlices:
    return DomainSlices(voxels, labels, "MR", ("fingerprint",) * max(len(cases), 1), slices_of_cases=cases)


def measure(
    method: Any,
    config: TrainingConfig,
    *,
    target: Tensor | DomainSlices | None = None,
    held_out: DomainSlices | None = None,
    source: DomainSlices | None = None,
) -> dict[str, float]:
    shown = target if isinstance(target, DomainSlices) else domain(discs(4) if target is None else target)
    return Validation(held_out, shown, organs=ORGANS, config=config, source=source).measure(method)


def test_dice_is_summed_over_all_held_out_slices_before_dividing(tiny: Tiny) -> None:
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (7, 32, 32), generator=rng, dtype=torch.uint8)
    labels[2], labels[4, :30] = 0, 0
    predicted = torch.where(torch.rand(labels.shape, generator=rng) < 0.3, 1, labels.long())
    scores = measure(DrawingMethod(by_intensity), tiny(), held_out=domain(predicted[:, None].half(), labels))
    expected = {}
    for kind, name in ((1, "liver"), (2, "spleen")):
        shared = found = there = 0
        for one, truth in zip(predicted, labels, strict=True):
            shared += int(((one == kind) & (truth == kind)).sum())
            found, there = found + int((one == kind).sum()), there + int((truth == kind).sum())
        expected[f"dice {name}"] = 2 * shared / (found + there)
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert 0.3 < expected["dice liver"] < expected["dice spleen"] < 1
    assert scores["dice"] == pytest.approx(sum(expected.values()) / 2)


def test_an_organ_that_no_held_out_slice_shows_has_no_dice(tiny: Tiny) -> None:
    labels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    labels[1, :9] = 2
    found = labels[:, None].half()
    found[0, 0, 20:] = 1  # what is found there counts in no mean that would then jump about
    scores = measure(DrawingMethod(by_intensity), tiny(), held_out=domain(found, labels))
    assert list(scores) == ["dice", "agreement", "dice spleen"]
    assert scores["dice"] == scores["dice spleen"] == 1


def test_held_out_slices_are_translated_before_they_are_segmented(tiny: Tiny) -> None:
    labels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    labels[:, 5:20] = 1
    held_out = domain(labels[:, None].half() - 4, labels)
    assert measure(DrawingMethod(by_intensity, translation=4), tiny(), held_out=held_out)["dice"] == 1
    assert measure(DrawingMethod(by_intensity), tiny(), held_out=held_out)["dice"] == 0


def test_without_held_out_slices_there_is_agreement_alone(tiny: Tiny) -> None:
    assert list(measure(DrawingMethod(by_intensity), tiny())) == ["agreement"]


def test_agreement_is_high_where_the_prediction_follows_the_slice_and_low_where_it_does_not(tiny: Tiny) -> None:
    follows = measure(DrawingMethod(lambda slices: by_intensity(slices).clamp(max=2)), tiny())["agreement"]
    # of three organs one is found nowhere and counts as 0
    assert 0.9 * 2 / 3 < follows <= 2 / 3
    # stripes that stay where they are while the slice moves by some pixels
    assert measure(DrawingMethod(by_place), tiny())["agreement"] * 3 < 0.7
    chance = torch.Generator().manual_seed(0)
    noise = DrawingMethod(lambda slices: torch.randint(0, 4, slices.shape, generator=chance))
    assert measure(noise, tiny())["agreement"] < 0.3


def test_a_network_that_finds_nothing_agrees_on_nothing(tiny: Tiny) -> None:
    nothing = DrawingMethod(lambda slices: torch.zeros_like(slices, dtype=torch.int64))
    assert measure(nothing, tiny()) == {"agreement": 0.0}


def test_what_a_change_moves_out_of_the_slice_is_no_disagreement(tiny: Tiny) -> None:
    everywhere = DrawingMethod(lambda slices: torch.ones_like(slices, dtype=torch.int64))
    assert measure(everywhere, tiny())["agreement"] == pytest.approx(1 / 3)


def test_contrast_changes_too(tiny: Tiny) -> None:
    """A segmenter that goes by a grey value in the middle of the range sees another one after the change."""
    slices = torch.linspace(0, 1, 64).expand(4, 1, 64, 64).clone()
    method = DrawingMethod(lambda shown: (shown > 0.5).long())
    assert measure(method, tiny(), target=slices)["agreement"] * 3 < 0.97
    first, changed = method.segmenter.shown[1][0, 0], method.segmenter.shown[0][0, 0]
    assert torch.equal(first, slices[0, 0])
    assert changed[32, 32] == pytest.approx(0.5**0.8, abs=0.06)
    assert abs(changed[32, 32] - 0.5) > 0.03


def test_agreement_is_what_it_was_when_earlier_runs_were_trained(tiny: Tiny) -> None:
    """Candidates are ranked by it, so a run that is resumed after an update must not change its measure."""
    rng = torch.Generator().manual_seed(5)
    slices = discs(8) + 0.35 * torch.randn((8, 1, 64, 64), generator=rng)
    assert measure(DrawingMethod(by_intensity), tiny(), target=slices)["agreement"] == pytest.approx(0.599719, abs=2e-5)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_batch_changes_no_score(tiny: Tiny, size: int) -> None:
    labels = by_intensity(discs(5)[:, 0]).to(torch.uint8)
    held_out = domain(discs(5).half() * 0.6, labels)
    rng = torch.Generator().manual_seed(3)
    target = discs(7) + 0.3 * torch.randn((7, 1, 64, 64), generator=rng)
    one, other = (
        measure(DrawingMethod(by_intensity), tiny(f"optimiser.batch_size={count}"), target=target, held_out=held_out)
        for count in (1, size)
    )
    assert one == other


def test_a_large_domain_is_measured_on_slices_spread_evenly_over_it(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation_module, "MOST_HELD_OUT_SLICES", 4)
    monkeypatch.setattr(validation_module, "MOST_TARGET_SLICES", 3)
    numbers = torch.arange(10.0)[:, None, None, None].expand(10, 1, 32, 32)
    method = DrawingMethod(by_intensity)
    measure(method, tiny("optimiser.batch_size=1"), target=numbers, held_out=domain(numbers, numbers[:, 0].byte()))
    shown = [round(slices.mean().item()) for slices in method.segmenter.shown]
    assert shown[:4] == [0, 3, 6, 9]
    assert shown[5::2] == [0, 4, 9]


def test_networks_are_measured_as_they_are_used_and_then_are_as_before(tiny: Tiny) -> None:
    method = DrawingMethod(by_intensity)
    still = nn.Dropout().eval()
    method.networks["other"] = nn.Sequential(nn.Dropout(), still)
    held_out = domain(discs(2), by_intensity(discs(2)[:, 0]).byte())
    measure(method, tiny(), held_out=held_out)
    assert set(method.segmenter.was_training) == {False}
    assert method.segmenter.training
    assert [module.training for module in method.networks["other"].modules()] == [True, True, False]


def test_a_student_that_predicts_as_its_teacher_agrees_and_a_method_without_one_has_no_such_score(tiny: Tiny) -> None:
    def teacher(slices: Tensor) -> Tensor:
        return by_intensity(slices).clamp(max=2)

    def half_of_it(slices: Tensor) -> Tensor:
        found = teacher(slices)
        found[:, :, 22:] = found[:, :, 22:].clamp(max=1) * (found[:, :, 22:] == 1)
        return found

    assert "teacher agreement" not in measure(DrawingMethod(teacher), tiny())
    # of three organs one is found nowhere and counts as 0
    same, half = (
        measure(DrawingMethod(teacher, student=rule), tiny())["teacher agreement"] for rule in (teacher, half_of_it)
    )
    assert same == pytest.approx(2 / 3)
    assert half == pytest.approx(1 / 3)


def test_whole_cases_are_judged_where_it_is_known_which_slices_are_theirs(tiny: Tiny) -> None:
    labels = by_intensity(discs(6)[:, 0]).byte()
    source = domain(discs(6), labels, (4, 2))
    method = DrawingMethod(lambda slices: by_intensity(slices).clamp(max=2))
    scores = measure(method, tiny(), target=domain(discs(6), None, (3, 3)), source=source)
    assert list(scores) == ["agreement", "balance", "plausibility"]
    assert scores["balance"] == pytest.approx(1)
    assert scores["plausibility"] == pytest.approx(2 / 3)  # the stomach is found nowhere
    lost = DrawingMethod(lambda slices: (by_intensity(slices) == 1).long())
    assert measure(lost, tiny(), target=domain(discs(6), None, (3, 3)), source=source)["balance"] == 0


def test_few_whole_cases_are_judged_and_of_a_long_one_slices_spread_evenly(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation_module, "MOST_WHOLE_CASES", 3)
    monkeypatch.setattr(validation_module, "MOST_WHOLE_SLICES", 9)
    numbers = torch.arange(22.0)[:, None, None, None].expand(22, 1, 32, 32)
    method = DrawingMethod(lambda slices: torch.zeros_like(slices, dtype=torch.int64))
    measure(method, tiny("optimiser.batch_size=1"), target=domain(numbers, None, (5, 5, 2, 5, 5)))
    shown = [round(slices.mean().item()) for slices in method.segmenter.shown]
    # the first, the middle and the last case, three slices of each that has so many
    assert shown[-8:] == [0, 2, 4, 10, 11, 17, 19, 21]


def real_method(config: TrainingConfig) -> CisfaMethod:
    torch.manual_seed(0)
    return CisfaMethod(config, classes=4, target_range=(-2.0, 3.0), device=CPU)


def test_measuring_draws_no_random_number_and_leaves_no_trace(tiny: Tiny) -> None:
    method = real_method(tiny())
    held_out = domain(discs(3), by_intensity(discs(3)[:, 0]).byte())
    before = {name: {k: v.clone() for k, v in one.state_dict().items()} for name, one in method.networks.items()}
    state = torch.get_rng_state()
    one = measure(method, tiny(), held_out=held_out)
    assert torch.equal(torch.get_rng_state(), state)
    for name, network in method.networks.items():
        assert all(torch.equal(value, before[name][key]) for key, value in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())
    assert measure(method, tiny(), held_out=held_out) == one
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in one.values())


def test_measuring_costs_a_few_per_cent_of_the_steps_between(tiny: Tiny) -> None:
    config = tiny(
        'networks={"generator_width": 8, "generator_blocks": 9, "segmenter_width": 8, "discriminator_width": 8}',
        "patch_contrast.patches=256", "optimiser.batch_size=4",
    )  # fmt: skip
    method = real_method(config)
    slices, labels = discs(4), by_intensity(discs(4)[:, 0])
    with FlopCounterMode(display=False) as step:
        method.step(Batch(slices, labels, slices), torch.Generator())
    many = domain(discs(200), by_intensity(discs(200)[:, 0]).byte(), (40,) * 5)
    method.student = method.segmenter
    with FlopCounterMode(display=False) as measuring:
        assert len(measure(method, config, target=many, held_out=many, source=many)) == 5 + 2
    cost_in_steps = measuring.get_total_flops() / step.get_total_flops()
    assert 6 < cost_in_steps < 13
    assert cost_in_steps / TrainingConfig().validation.every < 0.03


@pytest.mark.parametrize(
    ("cases", "part", "count"), [(3, 0.5, 0), (4, 0.1, 1), (14, 0.1, 1), (30, 0.1, 3), (5, 0.5, 2), (30, 0.0, 0)]
)
def test_how_many_cases_are_held_out(cases: int, part: float, count: int) -> None:
    held_out = held_out_cases([f"{number:04x}" for number in range(cases)], part, seed=1)
    assert len(set(held_out)) == len(held_out) == count
    assert all(0 <= case < cases for case in held_out)


def test_the_seed_chooses_the_cases_and_neither_names_nor_order_do() -> None:
    fingerprints = ["d1", "07", "aa", "3f", "c2", "55"]
    chosen = {seed: held_out_cases(fingerprints, 0.3, seed=seed) for seed in range(40)}
    assert {case for cases in chosen.values() for case in cases} == set(range(6))
    for seed, cases in chosen.items():
        assert cases == held_out_cases(fingerprints, 0.3, seed=seed)
        reordered = fingerprints[::-1]
        assert {reordered[case] for case in held_out_cases(reordered, 0.3, seed=seed)} == {
            fingerprints[case] for case in cases
        }


def train(folder: RunFolder, domains: Any, config: TrainingConfig | None, report: Any = None) -> list[Event]:
    events: list[Event] = []
    cases = TrainingCases(labelled_cases(domains.source), unlabelled_cases(domains.target))
    run_training(folder, cases, config, CPU, report or events.append)
    return events


def table(folder: RunFolder) -> str:
    return (folder.path / VALIDATION).read_text(encoding="utf-8")


@pytest.mark.parametrize("held_out", [0.1, 0.0])
def test_held_out_slices_never_reach_a_training_batch(
    tiny: Tiny, larger_domains: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, held_out: float
) -> None:
    seen: set[bytes] = set()
    real = SupervisedMethod.step

    def step(method: SupervisedMethod, batch: Batch, rng: torch.Generator) -> Any:
        seen.update(one.half().numpy().tobytes() for one in batch.source)
        return real(method, batch, rng)

    monkeypatch.setattr(SupervisedMethod, "step", step)
    unchanged = ("augmentation.rotation_degrees=0", "augmentation.scaling=0", "augmentation.shift=0")
    config = tiny(f"validation.held_out={held_out}", *unchanged, "optimiser.batch_size=5", method="source-only")
    train(RunFolder(tmp_path / "run"), larger_domains, config)
    slices = read_slices(
        labelled_cases(larger_domains.source), PreprocessingConfig(size=32), modality=None,
        organs=organs_from_names({"1": "liver", "3": "spleen"}), on_case=lambda *_: None,
    )  # fmt: skip
    by_case = [{one.numpy().tobytes() for one in case} for case in slices.voxels.split(6)]
    kept = held_out_cases(slices.fingerprints, held_out, seed=0)
    assert len(kept) == (1 if held_out else 0)
    assert [len(case & seen) for case in by_case] == [0 if number in kept else 6 for number in range(5)]
    data = RunFolder(tmp_path / "run").read_data()
    assert data is not None
    assert (data.source_slices, data.held_out_cases, len(data.source_fingerprints)) == (
        30 - 6 * len(kept),
        len(kept),
        5,
    )


def test_a_run_says_that_few_source_cases_leave_none_to_measure_dice_on(
    tiny: Tiny, domains: Any, tmp_path: Any
) -> None:
    folder = RunFolder(tmp_path / "run")
    events = train(folder, domains, tiny("validation.every=4"))
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert any("with 3 source cases none can be spared (from 4 on one is)" in notice for notice in notices)
    assert [line.partition(",")[0] for line in table(folder).splitlines()] == ["step", "4", "8"]
    assert table(folder).startswith("step,agreement")


def test_scores_reach_table_curves_events_and_the_list_of_runs(tiny: Tiny, larger_domains: Any, tmp_path: Any) -> None:
    folder = RunFolder(tmp_path / "run")
    events = train(folder, larger_domains, tiny("validation.every=3", "optimiser.learning_rate=0.003"))
    assert Notice("1 of the 5 source cases is held out for validation.") in events
    reader = CurveReader(folder.path / VALIDATION)
    reader.read()
    assert reader.steps == [3, 6, 8]
    assert list(reader.values) == ["dice", "agreement", "balance", "plausibility", "dice liver", "dice spleen"]
    heard = [event for event in events if isinstance(event, Metric) and "validation dice" in event.values]
    assert [event.step for event in heard] == [3, 6, 8]
    for name, column in reader.values.items():
        assert column == pytest.approx([event.values[f"validation {name}"] for event in heard])
    assert summarise(folder.path, is_local=True).best_dice == max(reader.values["dice"])
    curves = b"".join(path.read_bytes() for path in folder.tensorboard.iterdir())
    assert b"validation_dice_liver" in curves


@pytest.mark.parametrize("method", ["cisfa", "source-only", "supervised"])
def test_a_run_with_validation_has_the_losses_of_one_without(
    tiny: Tiny, larger_domains: Any, tmp_path: Any, method: str
) -> None:
    losses = []
    for every in (1, 1000):
        folder = RunFolder(tmp_path / str(every))
        config = tiny(f"validation.every={every}", "schedule.metrics_every=1", "schedule.steps=4", method=method)
        train(folder, larger_domains, config)
        losses.append(folder.metrics.read_text(encoding="utf-8"))
        assert len(table(folder).splitlines()) == (5 if every == 1 else 2)
    assert losses[0] == losses[1]
    assert len(losses[0].splitlines()) == 5


@pytest.mark.parametrize("end", [Cancelled, KeyboardInterrupt])
def test_a_resumed_run_has_the_scores_of_one_that_never_stopped(
    tiny: Tiny, larger_domains: Any, tmp_path: Any, end: type[BaseException]
) -> None:
    config = tiny("validation.every=1")
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    train(whole, larger_domains, config)

    def stop(event: Event) -> None:
        if isinstance(event, Metric) and event.step == 5:
            raise end

    with pytest.raises(end):
        train(stopped, larger_domains, config, stop)
    # killed, it has scores of step 5 but its last checkpoint is of step 4
    assert len(table(stopped).splitlines()) == 6
    assert (stopped.checkpoints / "step-00000005.pt").exists() == (end is Cancelled)
    train(stopped, larger_domains, None)
    assert table(stopped) == table(whole)
    assert stopped.metrics.read_text(encoding="utf-8") == whole.metrics.read_text(encoding="utf-8")


def test_a_run_of_before_there_was_a_validation_goes_on_with_all_its_cases(
    tiny: Tiny, larger_domains: Any, tmp_path: Any
) -> None:
    config = tiny("validation.held_out=0")
    whole, old = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "old")
    train(whole, larger_domains, config)

    def stop(event: Event) -> None:
        if isinstance(event, Metric) and event.step == 4:
            raise Cancelled

    with suppress(Cancelled):
        train(old, larger_domains, config, stop)
    for name, new in (
        ("config.json", ("validation", "few_labels")), ("data.json", ("held_out_cases", "few_label_fingerprints"))
    ):  # fmt: skip
        values = json.loads((old.path / name).read_text(encoding="utf-8"))
        kept = {key: value for key, value in values.items() if key not in new}
        assert len(kept) == len(values) - 2
        (old.path / name).write_text(json.dumps(kept), encoding="utf-8")
    train(old, larger_domains, None)
    assert old.metrics.read_text(encoding="utf-8") == whole.metrics.read_text(encoding="utf-8")
    data = old.read_data()
    assert data is not None
    assert (data.held_out_cases, data.source_slices) == (0, 30)
