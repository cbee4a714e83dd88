"""Judging beside segmenting: what it tells, what it costs, and that it changes nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.errors import Cancelled
from cisfa.evaluation.organ_measurements import measure_organs
from cisfa.events import Event, Notice, Progress
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.volume import Volume
from cisfa.inference import predictor as module
from cisfa.inference.evidence import gather_evidence
from cisfa.inference.organ_shape import shapes_of_organs
from cisfa.inference.predictor import PredictionOptions, Predictor
from cisfa.inference.quality import OrganQuality, judge_all
from cisfa.inference.witness import Witness

MakeGeometry = Callable[..., Geometry]
MakeBundle = Callable[..., Path]
MakePredictor = Callable[..., Predictor]
ORGANS = parse_organs("1=liver,5=right kidney")


class Counting(nn.Module):
    """Finds what is bright, and counts the slices that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.slices = 0

    def forward(self, slices: Tensor) -> Tensor:
        self.slices += len(slices)
        bright = slices[:, 0] > 1
        return 50.0 * torch.stack([~bright, bright, torch.zeros_like(bright)], dim=1).float()


class Noisy(nn.Module):
    """A network that has learned nothing: its answer has little to do with where things are."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.mix = nn.Conv2d(1, 3, 3, padding=1)

    def forward(self, slices: Tensor) -> Tensor:
        return self.mix(slices)


@pytest.fixture
def volume(oblique: MakeGeometry) -> Volume:
    """A bright ellipsoid in the middle of slightly noisy tissue, away from all edges."""
    geometry = oblique((12, 50, 46), (1, 2, 0), (-1, 1, -1))
    places = [np.linspace(-1, 1, count) for count in geometry.shape]
    radius = sum((place**2) for place in np.meshgrid(*places, indexing="ij"))
    noise = np.random.default_rng(0).normal(0, 20, geometry.shape)
    return Volume((np.where(radius < 0.3, 900, 100) + noise).clip(0).astype(np.int16), geometry)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def make_predictor(monkeypatch: pytest.MonkeyPatch, make_bundle: MakeBundle, events: list[Event]) -> MakePredictor:
    def make(network: nn.Module, report: Callable[[Event], None] = events.append, batch_size: int = 8) -> Predictor:
        options = PredictionOptions(batch_size=batch_size, trust_modality=True)
        monkeypatch.setattr(module, "load_segmenter", lambda bundle: network)
        bundle = open_bundle(make_bundle(crop_to_body=False, size=48))
        return Predictor(bundle, torch.device("cpu"), options, report)

    return make


def judged(predictor: Predictor, volume: Volume) -> tuple[OrganQuality, ...]:
    label_map, witness = predictor.segment_watched(volume)
    signs = predictor.question(witness)
    measured = measure_organs(label_map, volume, ORGANS)
    return judge_all(gather_evidence(measured, signs, shapes_of_organs(label_map, ORGANS), None))


def test_a_network_that_follows_the_image_is_green_and_what_it_does_not_find_red(
    make_predictor: MakePredictor, volume: Volume
) -> None:
    liver, kidney = judged(make_predictor(Counting()), volume)
    assert liver.level == "green", liver
    assert (kidney.level, kidney.score) == ("red", 0)


def test_a_network_that_has_learned_nothing_is_red(make_predictor: MakePredictor, volume: Volume) -> None:
    assert [quality.level for quality in judged(make_predictor(Noisy()), volume)] == ["red", "red"]


def test_random_weights_are_red(make_bundle: MakeBundle, volume: Volume, events: list[Event]) -> None:
    bundle = open_bundle(make_bundle(crop_to_body=False, size=48))
    predictor = Predictor(bundle, torch.device("cpu"), PredictionOptions(trust_modality=True), events.append)
    assert {quality.level for quality in judged(predictor, volume)} == {"red"}


def test_being_watched_changes_nothing(make_predictor: MakePredictor, volume: Volume) -> None:
    predictor = make_predictor(Counting())
    label_map, _ = predictor.segment_watched(volume)
    np.testing.assert_array_equal(label_map.voxels, predictor.segment(volume).voxels)


def test_judging_segments_no_slice_more_than_once_again(make_predictor: MakePredictor, volume: Volume) -> None:
    network = Counting()
    predictor = make_predictor(network)
    _, witness = predictor.segment_watched(volume)
    at_first = network.slices
    predictor.question(witness)
    assert 0 < network.slices - at_first <= at_first


def test_judging_tells_how_far_it_is(make_predictor: MakePredictor, volume: Volume, events: list[Event]) -> None:
    judged(make_predictor(Counting(), batch_size=2), volume)
    fractions = [event.fraction for event in events if isinstance(event, Progress) and event.stage == "judging"]
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert fractions == sorted(fractions)
    assert len(fractions) > 2


def test_judging_a_volume_without_organs_ends_too(
    make_predictor: MakePredictor, oblique: MakeGeometry, events: list[Event]
) -> None:
    dark = Volume(np.random.default_rng(0).integers(0, 2, (4, 40, 37)).astype(np.int16), oblique((4, 40, 37)))

    class Nothing(Counting):
        def forward(self, slices: Tensor) -> Tensor:
            return torch.stack([torch.ones_like(slices[:, 0])] + 2 * [torch.zeros_like(slices[:, 0])], dim=1)

    assert {quality.level for quality in judged(make_predictor(Nothing()), dark)} == {"red"}
    assert [event for event in events if isinstance(event, Progress)][-1] == Progress("judging", 1.0)


def test_whoever_hears_that_it_judges_can_stop_it(make_predictor: MakePredictor, volume: Volume) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "judging" and event.fraction > 0:
            raise Cancelled("Stopped on request.")

    predictor = make_predictor(Counting(), stop)
    _, witness = predictor.segment_watched(volume)
    with pytest.raises(Cancelled):
        predictor.question(witness)


def test_memory_that_runs_out_while_judging_makes_batches_smaller(
    make_predictor: MakePredictor, volume: Volume, events: list[Event]
) -> None:
    class Crowded(Counting):
        most = 100

        def forward(self, slices: Tensor) -> Tensor:
            if len(slices) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().forward(slices)

    network = Crowded()
    predictor = make_predictor(network)
    label_map, witness = predictor.segment_watched(volume)
    expected = predictor.question(witness)
    network.most = 2
    assert predictor.question(witness) == expected
    assert sum(isinstance(event, Notice) for event in events) == 2
    assert label_map.voxels.any()


def test_three_hundred_organs_are_told_apart() -> None:
    classes = np.zeros((2, 300, 8, 8), np.float32)
    classes[0, 299], classes[1, 43] = 1, 1
    witness = Witness(np.zeros((2, 8, 8), np.float32), 300)
    witness.see(0, classes)

    class Same:
        def run(self, slices: np.ndarray, take: Callable[[int, np.ndarray], None]) -> None:
            take(0, classes)

    signs = witness.signs(Same(), lambda event: None)
    assert [place + 1 for place, organ in enumerate(signs.organs) if organ.confidence] == [43, 299]
    assert {organ.agreement for organ in signs.organs} == {1.0}
