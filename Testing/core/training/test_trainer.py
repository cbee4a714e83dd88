import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cisfa.config import TrainingConfig
from cisfa.errors import Cancelled, TrainingDivergedError
from cisfa.events import Event, Metric, Progress
from cisfa.imaging.organs import organs_from_names
from cisfa.training import trainer
from cisfa.training.checkpoint import latest_checkpoint
from cisfa.training.cisfa_method import CisfaMethod
from cisfa.training.method import Batch, Preview
from cisfa.training.recorder import Recorder
from cisfa.training.run_folder import RunFolder
from cisfa.training.slice_dataset import DomainSlices
from cisfa.training.trainer import Batches, total_steps, train

CPU = torch.device("cpu")
Tiny = Callable[..., TrainingConfig]


def slices(count: int, *, labelled: bool, seed: int = 0) -> DomainSlices:
    voxels = torch.randn((count, 1, 32, 32), generator=torch.Generator().manual_seed(seed)).half()
    voxels[:, 0, 0, 0] = torch.arange(count).half()  # by which a slice is known again
    labels = torch.randint(0, 3, (count, 32, 32), dtype=torch.uint8) if labelled else None
    return DomainSlices(voxels, labels, "MR", ("fingerprint",))


class CountingMethod:
    """Adds one to its only weight in each step, and reports whatever loss it was told to."""

    def __init__(self, losses: Mapping[int, float] | None = None) -> None:
        self.segmenter: Any = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.segmenter.weight)
        self.networks: dict[str, nn.Module] = {"segmenter": self.segmenter}
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.losses = losses or {}
        self.batches: list[Batch] = []
        self.heard: list[tuple[int, int]] = []

    def set_progress(self, *, done: int, steps: int) -> None:
        self.heard.append((done, steps))

    def step(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        self.batches.append(batch)
        with torch.no_grad():
            self.segmenter.weight += 1
        step = round(self.segmenter.weight.item())
        if math.isnan(self.losses.get(step, 0.5)):
            self.segmenter.weight.data.fill_(math.nan)
        return {"dice": torch.tensor(self.losses.get(step, 0.5)), "chance": torch.rand((), generator=rng)}

    def preview(self, batch: Batch) -> Preview:
        return Preview({"source": batch.source[:, 0]}, {"source": batch.labels})


class CountingValidation:
    """Finds as dice how many steps the method has done."""

    def measure(self, method: CountingMethod) -> dict[str, float]:
        return {"dice": method.segmenter.weight.item()}


class Run:
    """One run of a counting method, with what it reported."""

    def __init__(self, folder: Path, config: TrainingConfig, method: CountingMethod | None = None) -> None:
        self.folder = RunFolder(folder)
        self.folder.start(config)
        self.folder.prepare()
        self.config = config
        self.method = method or CountingMethod()
        self.validation: Any = CountingValidation()
        self.events: list[Event] = []

    def train(self, last: int, *, first: int = 0, report: Callable[[Event], None] | None = None) -> None:
        batches = Batches(self.config, slices(7, labelled=True), slices(5, labelled=False, seed=1))
        organs = organs_from_names({"1": "liver", "3": "spleen"})
        with Recorder(self.folder, from_step=first, organs=organs, report=report or self.events.append) as recorder:
            train(self.method, batches, self.validation, folder=self.folder, recorder=recorder, steps=(first, last))

    def checkpoints(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("step-")) for path in self.folder.checkpoints.iterdir())


def test_an_epoch_is_one_pass_over_the_larger_domain(tiny: Tiny) -> None:
    in_epochs = ("schedule.steps=null", "schedule.epochs=3", "optimiser.batch_size=4")
    assert total_steps(tiny(*in_epochs), 10, 7) == 9
    assert total_steps(tiny(*in_epochs), 7, 12) == 9
    assert total_steps(tiny(*in_epochs), 7, 13) == 12
    assert total_steps(tiny(*in_epochs, "schedule.steps=5"), 7, 13) == 5


def test_a_batch_is_a_function_of_seed_and_step(tiny: Tiny) -> None:
    def at(step: int, *assignments: str) -> Batch:
        source, target = slices(7, labelled=False), slices(5, labelled=False, seed=1)
        labels = torch.arange(7).reshape(-1, 1, 1).expand(-1, 32, 32).to(torch.uint8)
        source = DomainSlices(source.voxels, labels, source.modality, source.fingerprints)
        return Batches(tiny(*assignments), source, target).at(step)

    one, same, other = at(5), at(5), at(5, "seed=1")
    for name in ("source", "labels", "target"):
        assert torch.equal(getattr(one, name), getattr(same, name))
        assert not torch.equal(getattr(one, name), getattr(other, name))
    assert one.source.shape == one.target.shape == (2, 1, 32, 32)
    assert (one.source.dtype, one.labels.dtype) == (torch.float32, torch.int64)


def test_a_slice_is_augmented_anew_each_time_it_is_seen(tiny: Tiny) -> None:
    one = slices(1, labelled=True)
    batches = Batches(tiny("augmentation.shift=0.2"), one, one)
    seen = [side for step in range(3) for side in (batches.at(step).source, batches.at(step).target)]
    differing = [not torch.equal(a, b) for number, a in enumerate(seen) for b in seen[:number]]
    assert all(differing)


def test_labels_stay_with_their_slices(tiny: Tiny) -> None:
    off = ("augmentation.rotation_degrees=0", "augmentation.scaling=0", "augmentation.shift=0")
    labelled = slices(7, labelled=True)
    batches = Batches(tiny(*off), labelled, slices(5, labelled=False))
    for step in range(10):
        batch = batches.at(step)
        for one, labels in zip(batch.source, batch.labels, strict=True):
            number = round(one[0, 0, 0].item())
            assert torch.equal(one, labelled.voxels[number].float())
            assert labelled.labels is not None
            assert torch.equal(labels, labelled.labels[number].long())


def test_the_schedule_says_when_to_save_measure_and_show(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny('schedule={"checkpoint_every": 3, "keep_checkpoints": 2, "metrics_every": 4, "preview_every": 5}')
    run = Run(tmp_path / "run", config)
    run.train(11)
    assert len(run.method.batches) == 11
    assert run.method.heard == [(done, 11) for done in range(11)]
    assert run.checkpoints() == [9, 11]
    assert [event.step for event in run.events if isinstance(event, Metric)] == [4, 8, 11]
    previews = sorted(path.name for path in run.folder.previews.iterdir())
    assert previews == [f"step-{step:08d}.png" for step in (1, 5, 10, 11)]


def test_progress_ends_at_one_and_guesses_the_time_that_remains(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 100_000, 10))
    monkeypatch.setattr(trainer.time, "monotonic", lambda: float(next(clock)))
    run = Run(tmp_path / "run", tiny())
    run.train(8)
    progress = [event for event in run.events if isinstance(event, Progress)]
    assert [event.fraction for event in progress] == [step / 8 for step in range(1, 9)]
    assert {event.stage for event in progress} == {"training"}
    remaining = [event.remaining_s for event in progress]
    assert remaining[-1] == 0
    assert all(one is not None and one > 0 for one in remaining[:-1])


def test_a_resumed_run_guesses_from_what_it_did_itself(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run", tiny())
    seconds = [0.0]
    monkeypatch.setattr(trainer.time, "monotonic", lambda: seconds[0])
    real = run.method.step

    def slow(batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        seconds[0] += 60
        return real(batch, rng)

    monkeypatch.setattr(run.method, "step", slow)
    run.train(102, first=100)
    first = next(event for event in run.events if isinstance(event, Progress))
    assert first.fraction == pytest.approx(101 / 102)
    assert first.remaining_s == pytest.approx(60)


def test_validation_measures_what_the_step_left_and_before_it_is_saved(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny('schedule={"checkpoint_every": 3, "metrics_every": 4}', "validation.every=3")
    run = Run(tmp_path / "run", config)

    def kill(event: Event) -> None:
        run.events.append(event)
        if isinstance(event, Metric) and event.step == 6:
            assert run.checkpoints() == [3]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.train(8, report=kill)
    run.train(8, first=6)
    measured = [(event.step, event.values) for event in run.events if isinstance(event, Metric)]
    assert [step for step, _ in measured] == [3, 4, 6, 8]
    scores = {step: values["validation dice"] for step, values in measured if "validation dice" in values}
    assert scores == {3: 3, 6: 6, 8: 8}
    assert [step for step, values in measured if "dice" in values] == [4, 8]
    table = (run.folder.path / "validation.csv").read_text(encoding="utf-8").splitlines()
    assert table == ["step,dice", "3,3", "6,6", "8,8"]


def test_whoever_stops_the_run_on_hearing_of_a_step_loses_none_of_its_values(tiny: Tiny, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", tiny("schedule.metrics_every=3", "validation.every=3"))

    def cancel(event: Event) -> None:
        if isinstance(event, Metric):
            raise Cancelled

    with pytest.raises(Cancelled):
        run.train(8, report=cancel)
    for name in ("metrics.csv", "validation.csv"):
        assert (run.folder.path / name).read_text(encoding="utf-8").splitlines()[-1].startswith("3,")
    assert run.checkpoints()[-1] == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_run_with_a_sound_checkpoint(
    tiny: Tiny, tmp_path: Path, value: float
) -> None:
    run = Run(tmp_path / "run", tiny(), CountingMethod({6: value}))
    with pytest.raises(
        TrainingDivergedError, match=rf"dice became {value} at step 6: .*Start a new run with a smaller"
    ):
        run.train(8)
    assert run.checkpoints() == [2, 4]
    last = latest_checkpoint(run.folder.checkpoints, device=CPU)
    assert last is not None
    assert last.networks["segmenter"]["weight"].item() == 4
    assert [event.step for event in run.events if isinstance(event, Metric)] == [2, 4]


@pytest.mark.parametrize("combination", ["sum", "sequential"])
def test_every_gradient_is_measured_since_one_may_overflow_where_all_losses_are_finite(
    tiny: Tiny, combination: str
) -> None:
    method = CisfaMethod(
        tiny(f"feature_contrast.combination={combination}"), classes=3, target_range=(-2, 3), device=CPU
    )
    batches = Batches(tiny(), slices(7, labelled=True), slices(5, labelled=False))
    measured = method.step(batches.at(0), torch.Generator().manual_seed(0))
    assert {f"gradient of {name}" for name in method.optimisers} <= set(measured)


@pytest.mark.parametrize("kind", [Metric, Progress])
def test_a_cancelled_run_saves_the_last_step_it_did(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Event]
) -> None:
    monkeypatch.setattr(trainer, "_PROGRESS_EVERY_S", 0.0)
    run = Run(tmp_path / "run", tiny("schedule.checkpoint_every=100", "schedule.metrics_every=1"))
    heard: list[Event] = []

    def cancel(event: Event) -> None:
        heard.append(event)
        if sum(isinstance(one, kind) for one in heard) == 3:
            raise Cancelled("Stopped on request.")

    with pytest.raises(Cancelled):
        run.train(8, report=cancel)
    assert run.checkpoints() == [3]
    last = latest_checkpoint(run.folder.checkpoints, device=CPU)
    assert last is not None
    assert last.networks["segmenter"]["weight"].item() == last.step == 3


def test_each_step_gets_randomness_of_its_own(tiny: Tiny, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", tiny("schedule.metrics_every=1"))
    run.train(5)
    chance = [event.values["chance"] for event in run.events if isinstance(event, Metric)]
    assert len(set(chance)) == 5
    again = Run(tmp_path / "again", tiny("schedule.metrics_every=1"))
    again.train(5, first=3)
    assert [event.values["chance"] for event in again.events if isinstance(event, Metric)] == chance[3:]
