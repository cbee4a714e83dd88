from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cisfa.cases.check_report import CaseFacts, Estimate
from cisfa.config import TrainingConfig
from cisfa.config_files import compose
from cisfa.errors import Cancelled, ConfigError
from cisfa.events import Event, Progress, ignore
from cisfa.networks.segmenter import Segmenter
from cisfa.training import step_trial
from cisfa.training.checkpoint import save_checkpoint
from cisfa.training.estimate import Room, Workload, estimate_training, workload_of
from cisfa.training.methods import method_named
from cisfa.training.step_trial import Limits, Trial, along_line, try_steps
from cisfa.training.trainer import seed_everything

Tiny = Callable[..., TrainingConfig]
CPU = torch.device("cpu")
WORK = Workload(classes=3, source_slices=90, held_out_slices=10, target_slices=120)
GIB = 2**30


def estimate(config: TrainingConfig, work: Workload = WORK, room: Room = Room()) -> Estimate:  # noqa: B008
    return estimate_training(config, work, CPU, room, ignore, budget_s=2.0)


def facts(domain: str, number: int, slices: int, **more: object) -> CaseFacts:
    return CaseFacts(domain, str(number), slices=slices, fingerprint=f"{domain}{number}", **more)  # type: ignore[arg-type]


def test_what_a_run_learns_from_is_what_can_be_read_without_what_is_held_out() -> None:
    cases = [facts("source", number, 10 + number) for number in range(5)]
    cases += [facts("source", 9, 500, problem="it is broken."), facts("target", 1, 30, labelled_slices=4)]
    work = workload_of(cases, TrainingConfig(), organs=2)
    assert work.classes == 3
    assert work.source_slices + work.held_out_slices == 10 + 11 + 12 + 13 + 14
    assert work.held_out_slices in range(10, 15)  # one of them
    assert (work.target_slices, work.few_slices, work.slices) == (30, 0, 90)
    assert workload_of(cases, compose(assignments=["few_labels.weight=1"]), organs=2).few_slices == 4
    assert workload_of(cases, compose(method="supervised"), organs=2).target_slices == 0
    assert workload_of(cases, compose(assignments=["validation.held_out=0"]), organs=2).held_out_slices == 0


def test_a_tiny_training_is_measured(tiny: Tiny, tmp_path: Path) -> None:
    found = estimate(tiny(), room=Room(8 * GIB, 16 * GIB, tmp_path / "not yet" / "run"))
    assert (found.time_basis, found.memory_basis, found.steps) == ("measured", "computed", 8)
    assert found.step_s is not None
    assert 0 < found.step_s < 5
    assert (found.free_memory_mib, found.total_memory_mib) == (8 * 1024, 16 * 1024)
    assert 100 < found.memory_mib < 2000
    assert found.free_disk_mib is not None
    assert found.free_disk_mib > 0
    assert not (tmp_path / "not yet").exists()
    assert "CPU" in found.device


def test_what_is_not_known_stays_so(tiny: Tiny) -> None:
    found = estimate(tiny())
    assert (found.free_memory_mib, found.total_memory_mib, found.free_disk_mib) == (None, None, None)


@pytest.mark.parametrize("method", ["supervised", "source-only", "supervised-plus", "cisfa", "cisfa-plus"])
@pytest.mark.parametrize("size", [32, 80])
def test_every_method_can_be_tried_at_any_size(tiny: Tiny, method: str, size: int) -> None:
    """Also at one that is larger than the smallest that is tried."""
    config = tiny(f"preprocessing.size={size}", method=method)
    trial = try_steps(config, CPU, ignore, classes=3, with_few=False, limits=Limits(60.0))
    assert set(trial.seconds) == {min(64, size), size}


def test_few_labels_are_tried_with_the_rest(tiny: Tiny) -> None:
    few = Workload(3, 90, 10, 120, few_slices=7)
    assert estimate(tiny("few_labels.weight=1"), few).time_basis == "measured"


def test_steps_are_those_of_the_schedule_or_of_the_epochs(tiny: Tiny) -> None:
    by_epochs = tiny('schedule={"steps": null, "epochs": 3}')
    assert estimate(by_epochs).steps == 3 * 60  # 120 target slices, two a batch


def test_validation_takes_its_share_of_the_time(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = Trial(32, {32: 1.0}, {32: 5.0}, {}, weight_mib=1.0, state_mib=3.0)
    monkeypatch.setattr("cisfa.training.estimate.try_steps", lambda *given, **more: fixed)
    assert estimate(tiny("validation.every=10")).step_s == pytest.approx(2.0)
    assert estimate(tiny("validation.every=1000")).step_s == pytest.approx(1.01)


def test_slices_of_all_cases_are_in_memory(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = Trial(32, {32: 1.0}, {32: 5.0}, {}, weight_mib=1.0, state_mib=3.0)
    monkeypatch.setattr("cisfa.training.estimate.try_steps", lambda *given, **more: fixed)
    few, many = estimate(tiny()), estimate(tiny(), Workload(3, 90 * 1024, 10 * 1024, 120 * 1024))
    # KiB: of each slice two bytes a pixel, a third one for labels of the source; the larger domain for a moment twice
    expected = 1024 * (2 * (220 + 120) + 100) / 1024
    assert many.memory_mib - few.memory_mib == pytest.approx(expected, rel=0.01)


def test_checkpoints_are_as_large_as_told(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny('schedule={"steps": 100, "checkpoint_every": 10, "keep_checkpoints": 3}')
    seed_everything(0)
    method = method_named("cisfa").build(config, classes=3, target_range=(-2.0, 4.0), device=CPU)
    batches = step_trial._random_batches(config, 32, CPU, classes=3, with_few=False)
    method.step(batches.at(0), torch.Generator())
    save_checkpoint(tmp_path, method, step=1, keep=3)
    on_disk = (tmp_path / "step-00000001.pt").stat().st_size / 2**20
    trial = try_steps(config, CPU, ignore, classes=3, with_few=False, limits=Limits(1.0))
    assert trial.state_mib == pytest.approx(on_disk, rel=0.25)  # of networks this small, names are a good part
    assert estimate(config).disk_mib >= 4 * trial.state_mib


def test_steps_with_a_teacher_that_begins_late_are_the_ones_that_count(tiny: Tiny) -> None:
    late = tiny("teacher.begin=1", "translation.share=0", method="cisfa-plus")
    without = tiny("teacher.weight=0", "translation.share=0", method="cisfa-plus")
    saved = [
        try_steps(config, CPU, ignore, classes=3, with_few=False, limits=Limits(2.0)).saved_mib
        for config in (late, without)
    ]
    assert max(saved[0].values()) > 1.3 * max(saved[1].values())


def test_fewer_checkpoints_need_less_room(tiny: Tiny) -> None:
    one, five = (
        estimate(tiny(f'schedule={{"steps": 99, "checkpoint_every": 2, "keep_checkpoints": {keep}}}'))
        for keep in (1, 5)
    )
    assert one.disk_mib < five.disk_mib


def test_candidates_for_the_bundle_need_room_of_their_own(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = Trial(32, {32: 1.0}, {32: 5.0}, {}, weight_mib=1.0, state_mib=3.0)
    monkeypatch.setattr("cisfa.training.estimate.try_steps", lambda *given, **more: fixed)
    weights = sum(value.numel() for value in Segmenter(classes=3, width=2).state_dict().values())
    none, few, many = (
        estimate(tiny("schedule.steps=1000", "validation.every=10", f"selection.keep={keep}")).disk_mib
        for keep in (0, 4, 500)
    )
    assert (few - none) * 2**20 == pytest.approx(5 * 4 * weights)
    assert (many - none) * 2**20 == pytest.approx(101 * 4 * weights)  # there are no more validations than that


def test_settings_that_cannot_work_together_are_said(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="feature contrast compares"):
        estimate(tiny("optimiser.batch_size=1"))


def test_a_cancellation_ends_the_trial(tiny: Tiny) -> None:
    heard: list[Event] = []

    def cancel_at_the_second(event: Event) -> None:
        heard.append(event)
        if len(heard) == 2:
            raise Cancelled("Stopped on request.")

    with pytest.raises(Cancelled):
        estimate_training(tiny(), WORK, CPU, Room(), cancel_at_the_second)
    assert heard[0] == Progress("trying the settings", 0.0)


class Clock:
    """Time that passes only while a method steps: as the number of pixels, and something beside."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fixed_s: float, s_per_megapixel: float) -> None:
        self.now, self.sizes = 0.0, []
        self._fixed_s, self._s_per_megapixel = fixed_s, s_per_megapixel
        monkeypatch.setattr(step_trial.time, "monotonic", lambda: self.now)
        real = step_trial._random_batches

        def batches(config: TrainingConfig, size: int, device: torch.device, **more: object) -> object:
            clock, made = self, real(config, 32, device, **more)  # type: ignore[arg-type]

            class Slow:
                def at(self, step: int) -> object:
                    clock.sizes.append(size)
                    clock.now += clock._fixed_s + clock._s_per_megapixel * size**2 / 1e6
                    return made.at(step)

            return Slow()

        monkeypatch.setattr(step_trial, "_random_batches", batches)


def try_large(tiny: Tiny, limits: Limits) -> Trial:
    config = tiny("preprocessing.size=256")
    return try_steps(config, CPU, ignore, classes=3, with_few=False, limits=limits)


def test_slices_that_take_too_long_are_told_from_smaller_ones(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, fixed_s=1.0, s_per_megapixel=200)
    trial = try_large(tiny, Limits(20.0))
    assert set(clock.sizes) == {64, 112}
    assert trial.time_basis == "extrapolated"
    assert trial.step_s == pytest.approx(1.0 + 200 * 256**2 / 1e6)
    assert clock.now < 20


def test_slices_that_can_be_tried_whole_are_measured(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, fixed_s=0.01, s_per_megapixel=5)
    trial = try_large(tiny, Limits(20.0))
    assert set(clock.sizes) == {64, 256}
    assert trial.time_basis == "measured"
    assert trial.step_s == pytest.approx(0.01 + 5 * 256**2 / 1e6)


def test_one_step_that_takes_all_the_time_has_to_do(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, fixed_s=0.0, s_per_megapixel=10000)
    trial = try_large(tiny, Limits(20.0))
    assert clock.sizes == [64]
    assert trial.step_s == pytest.approx(10000 * 256**2 / 1e6)


def test_slices_that_would_not_fit_into_the_memory_are_not_tried(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, fixed_s=0.01, s_per_megapixel=1)
    trial = try_large(tiny, Limits(20.0, saved_mib=1e-3))
    assert set(clock.sizes) == {64}
    assert trial.time_basis == "extrapolated"


def test_a_trial_that_runs_out_of_memory_tells_no_time(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **more: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("cisfa.training.cisfa_method.CisfaMethod.step", fail)
    found = estimate(tiny())
    assert (found.step_s, found.time_basis) == (None, "unknown")
    monkeypatch.setattr("cisfa.training.cisfa_method.CisfaMethod.step", lambda *given: {}["a bug of ours"])
    with pytest.raises(KeyError):
        estimate(tiny())


def test_saved_memory_grows_with_the_pixels_and_is_let_go(tiny: Tiny) -> None:
    config = tiny('networks={"generator_width": 8, "segmenter_width": 8}')
    seed_everything(0)
    method = method_named("cisfa").build(config, classes=3, target_range=(-2.0, 4.0), device=CPU)
    most = []
    for size in (32, 64):
        batches = step_trial._random_batches(config, size, CPU, classes=3, with_few=False)
        with step_trial._counting_saved(method) as saved:
            method.step(batches.at(0), torch.Generator())
        assert saved.now == 0
        most.append(saved.most)
    assert most[1] / most[0] == pytest.approx(4, rel=0.25)
    # at the very least, what the segmenter's first layer gives of every slice
    assert most[1] > 2 * 8 * 64 * 64 * 2


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({100: 3.0}, 3.0),
        ({50: 1.0}, 4.0),
        ({50: 2.0, 60: 2.0}, 2.0),
        ({50: 1.25, 80: 2.03}, 2.75),
        ({50: 2.0, 60: 1.0}, 1.0),
        ({}, 0.0),
    ],
)
def test_a_line_over_the_pixels_that_never_falls_tells_of_other_sizes(known: dict[int, float], expected: float) -> None:
    assert along_line(100, known) == pytest.approx(expected, rel=0.02)


def test_times_that_a_busy_computer_spoiled_do_not_promise_too_much() -> None:
    spoiled = Trial(100, {40: 3.0, 50: 1.0}, {50: 1.0}, {}, weight_mib=1.0, state_mib=3.0)
    assert spoiled.step_s == pytest.approx(2.0)  # half of what four times the pixels would take
