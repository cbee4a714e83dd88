from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.errors import BundleError, Cancelled, DeviceError, GeometryError, VolumeFileError
from cisfa.events import Event, Notice, Progress
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.roi import Roi
from cisfa.imaging.volume import SeriesFacts, Volume
from cisfa.inference import predictor as module
from cisfa.inference.predictor import PredictionOptions, Predictor, SliceRunner

MakeGeometry = Callable[..., Geometry]
MakeBundle = Callable[..., Path]
WithNetwork = Callable[..., Predictor]
CPU = torch.device("cpu")
# torch's device without memory stands in for a GPU: data can be sent there on any computer
GPU = torch.device("meta")


class Bright(nn.Module):
    """Finds what is brighter than average, of certain classes: one threshold each, in standard deviations."""

    def __init__(self, *thresholds: float) -> None:
        super().__init__()
        self.thresholds = thresholds

    def forward(self, slices: Tensor) -> Tensor:
        found = sum((slices[:, 0] > threshold).long() for threshold in self.thresholds)
        return 50.0 * nn.functional.one_hot(found, len(self.thresholds) + 1).movedim(-1, 1).float()


class Forgetful(Bright):
    """Runs out of memory with more slices than it can hold, and on a GPU with any."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__(0.5)
        self.most, self.error, self.seen, self.places = most, error, [], []

    def to(self, device: torch.device, **how: object) -> "Forgetful":
        self.places.append(device.type)
        return self

    def forward(self, slices: Tensor) -> Tensor:
        self.seen.append((slices.device.type, len(slices)))
        if len(slices) > self.most or slices.device.type != "cpu":
            raise self.error
        return super().forward(slices)


class TooLarge(Forgetful):
    """Does not even fit onto a GPU."""

    def to(self, device: torch.device, **how: object) -> "TooLarge":
        super().to(device)
        if device.type != "cpu":
            raise self.error
        return self


def out_of_memory() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def some_slices(count: int = 7) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 32, 40)).astype(np.float32)


def run(runner: SliceRunner, slices: np.ndarray) -> np.ndarray:
    """All probabilities, provided that the batches came in order and without a gap."""
    batches: list[np.ndarray] = []

    def take(first: int, probabilities: np.ndarray) -> None:
        assert first == sum(map(len, batches))
        batches.append(probabilities)

    runner.run(slices, take)
    return np.concatenate(batches)


def scene(geometry: Geometry, radius_mm: float = 8.0) -> tuple[Volume, np.ndarray]:
    """A volume with a ball in it, and where the ball is."""
    indices = np.stack(np.indices(geometry.shape), axis=-1)
    points = geometry.to_lps(indices.reshape(-1, 3)).reshape(indices.shape)
    centre = geometry.to_lps([(np.array(geometry.shape) - 1) / 2])[0] + [3.0, -2.0, 1.0]
    ball = np.linalg.norm(points - centre, axis=-1) < radius_mm
    return Volume(np.where(ball, 900, 100).astype(np.int16), geometry, "scene.nrrd"), ball


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def with_network(monkeypatch: pytest.MonkeyPatch, make_bundle: MakeBundle, events: list[Event]) -> WithNetwork:
    """A predictor whose bundle's network is another one."""

    def make(network: nn.Module, options: PredictionOptions | None = None, **settings: object) -> Predictor:
        monkeypatch.setattr(module, "load_segmenter", lambda bundle: network)
        settings = {"crop_to_body": False, **settings}
        bundle = open_bundle(make_bundle(**settings))
        return Predictor(bundle, CPU, options or PredictionOptions(trust_modality=True), events.append)

    return make


# where a prediction lies


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1)])
def test_an_organ_is_found_exactly_where_it_is(
    with_network: WithNetwork, oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    volume, ball = scene(oblique((9, 32, 32), order, signs))
    label_map = with_network(Bright(1.0)).segment(volume)
    np.testing.assert_array_equal(label_map.voxels, ball * 1)
    assert label_map.geometry is volume.geometry
    assert label_map.name == "scene.nrrd"


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("size", [33, 64, 150])
def test_an_organ_is_found_within_a_tenth_of_a_pixel_at_any_size(
    with_network: WithNetwork, oblique: MakeGeometry, plane: str, size: int
) -> None:
    volume, ball = scene(oblique((17, 59, 71), (1, 2, 0), (-1, 1, -1)), 17.0)
    halfway = (0.5 - ball.mean()) / ball.std()
    label_map = with_network(Bright(halfway), plane=plane, size=size).segment(volume)
    found = label_map.voxels == 1
    assert 2 * (found & ball).sum() / (found.sum() + ball.sum()) > 0.95
    here, there = (volume.geometry.to_lps(np.argwhere(mask)).mean(axis=0) for mask in (found, ball))
    np.testing.assert_allclose(here, there, atol=0.1 * 0.9 * max(1, 59 / size))


def test_classes_become_the_label_values_of_the_bundles_organs(
    with_network: WithNetwork, oblique: MakeGeometry
) -> None:
    organs = ",".join(f"{label}=organ {label}" for label in (2, 255, 256, 300))
    volume, _ = scene(oblique((3, 32, 32)))
    volume.voxels[:] = np.arange(32)[:, None] * 10
    label_map = with_network(Bright(-1, 0, 1, 1.5), organs=organs).segment(volume)
    assert label_map.voxels.dtype == np.uint16
    scores = (np.arange(32) - 15.5) / np.arange(32).std()
    expected = np.array([0, 2, 255, 256, 300])[(scores[:, None] > [-1, 0, 1, 1.5]).sum(axis=1)]
    np.testing.assert_array_equal(label_map.voxels[1, :, 7], expected)


def test_every_one_of_three_hundred_organs_comes_out(with_network: WithNetwork, oblique: MakeGeometry) -> None:
    organs = ",".join(f"{label}=organ {label}" for label in range(1, 301))
    volume, _ = scene(oblique((1, 32, 32)))
    volume.voxels[:] = np.arange(1024).reshape(1, 32, 32)
    thresholds = (np.arange(1, 301) * 3 - 511.5 - 0.5) / np.arange(1024).std()
    label_map = with_network(Bright(*thresholds), organs=organs, mr_clip_percentile=100).segment(volume)
    np.testing.assert_array_equal(label_map.voxels.ravel(), np.minimum(np.arange(1024) // 3, 300))


def test_outside_of_the_region_of_interest_is_background(with_network: WithNetwork, oblique: MakeGeometry) -> None:
    volume, ball = scene(oblique((9, 40, 40), (2, 0, 1), (1, -1, 1)))
    ends = np.array(np.meshgrid((-0.5, 31.5), (3.5, 6.5), (3.5, 35.5))).reshape(3, 8).T
    label_map = with_network(Bright(1.0)).segment(volume, Roi(volume.geometry.to_lps(ends)))
    inside = np.zeros_like(ball)
    inside[:32, 4:7, 4:36] = True
    np.testing.assert_array_equal(label_map.voxels, ball & inside)
    assert (ball & ~inside).any()


def test_a_region_of_interest_elsewhere_is_refused(with_network: WithNetwork, oblique: MakeGeometry) -> None:
    volume, _ = scene(oblique())
    with pytest.raises(GeometryError, match="outside the volume"):
        with_network(Bright(1.0)).segment(volume, Roi(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]] * 4)))


@pytest.mark.parametrize("largest_component", [False, True])
def test_only_the_largest_part_is_kept_when_asked_for(
    with_network: WithNetwork, oblique: MakeGeometry, largest_component: bool
) -> None:
    volume, ball = scene(oblique((9, 32, 32)))
    volume.voxels[0, 0, :3] = 900
    options = PredictionOptions(trust_modality=True, largest_component=largest_component)
    expected = ball.copy()
    expected[0, 0, :3] = not largest_component
    np.testing.assert_array_equal(with_network(Bright(1.0), options).segment(volume).voxels, expected)


def test_a_bundle_may_ask_for_the_largest_part_and_the_witness_keeps_what_was_there(
    monkeypatch: pytest.MonkeyPatch, make_bundle: MakeBundle, oblique: MakeGeometry
) -> None:
    volume, ball = scene(oblique((9, 32, 32)))
    volume.voxels[0, 0, :3] = 900
    monkeypatch.setattr(module, "load_segmenter", lambda bundle: Bright(1.0))
    bundle = open_bundle(make_bundle(crop_to_body=False))
    asking = replace(bundle, manifest=replace(bundle.manifest, largest_component=True))
    predictor = Predictor(asking, CPU, PredictionOptions(trust_modality=True), lambda event: None)
    label_map, witness = predictor.segment_watched(volume)
    uncut = ball.copy()
    uncut[0, 0, :3] = True
    np.testing.assert_array_equal(label_map.voxels, ball)
    assert witness.uncut is not None
    np.testing.assert_array_equal(witness.uncut.voxels, uncut)


@pytest.mark.parametrize("largest_component", [False, True])
def test_a_label_map_lies_in_the_frame_of_reference_of_its_series(
    with_network: WithNetwork, oblique: MakeGeometry, largest_component: bool
) -> None:
    volume, _ = scene(oblique((3, 32, 32)))
    predictor = with_network(Bright(1.0), PredictionOptions(largest_component=largest_component))
    assert predictor.segment(volume).frame_of_reference_uid == ""
    series = replace(volume, series=SeriesFacts(modality="MR", frame_of_reference_uid="1.2.3"))
    assert predictor.segment(series).frame_of_reference_uid == "1.2.3"


# what is refused


@pytest.mark.parametrize("trusted", [False, True])
def test_a_series_that_says_that_it_is_something_else_is_refused_unless_trusted(
    with_network: WithNetwork, oblique: MakeGeometry, trusted: bool
) -> None:
    volume = replace(scene(oblique((3, 32, 32)))[0], series=SeriesFacts(modality="PT"))
    predictor = with_network(Bright(1.0), PredictionOptions(trust_modality=trusted))
    if trusted:
        assert predictor.segment(volume).voxels.any()
    else:
        with pytest.raises(BundleError, match="is PT: its DICOM series says so"):
            predictor.segment(volume)


@pytest.mark.parametrize("wanted", ["CT", "MR"])
def test_a_volume_of_another_modality_is_refused_unless_trusted(
    make_bundle: MakeBundle, oblique: MakeGeometry, wanted: str, events: list[Event]
) -> None:
    volume, _ = scene(oblique((3, 32, 40)))
    if wanted == "MR":
        volume.voxels[:, :10] = -1000
    bundle, found = open_bundle(make_bundle(modality=wanted)), {"CT": "MR", "MR": "CT"}[wanted]
    with pytest.raises(
        BundleError, match=rf"segments {wanted}, but scene\.nrrd looks like {found}.*--modality {wanted}"
    ):
        Predictor(bundle, CPU, PredictionOptions(), events.append).segment(volume)
    Predictor(bundle, CPU, PredictionOptions(trust_modality=True), events.append).segment(volume)


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("value", [0, -1000])
def test_a_constant_volume_is_called_constant(
    make_bundle: MakeBundle, oblique: MakeGeometry, modality: str, value: int, events: list[Event]
) -> None:
    volume = Volume(np.full((3, 32, 40), value, np.int16), oblique((3, 32, 40)), "empty.nrrd")
    predictor = Predictor(open_bundle(make_bundle(modality=modality)), CPU, PredictionOptions(), events.append)
    with pytest.raises(VolumeFileError, match=r"empty\.nrrd is constant"):
        predictor.segment(volume)


def test_a_model_that_computes_no_numbers_does_not_pass_for_a_patient_without_organs(
    with_network: WithNetwork, oblique: MakeGeometry
) -> None:
    class Broken(nn.Module):
        def forward(self, slices: Tensor) -> Tensor:
            return torch.full((len(slices), 3, *slices.shape[-2:]), torch.nan)

    with pytest.raises(BundleError, match=r"'random weights' computed values that are no numbers for scene\.nrrd"):
        with_network(Broken()).segment(scene(oblique())[0])


# what is repeated


def test_a_prediction_is_the_same_again_and_with_any_number_of_slices_at_a_time(
    make_bundle: MakeBundle, oblique: MakeGeometry, events: list[Event]
) -> None:
    bundle, (volume, _) = open_bundle(make_bundle(size=48)), scene(oblique((11, 50, 60)))
    volume.voxels[:] += np.random.default_rng(1).integers(0, 300, volume.voxels.shape).astype(np.int16)
    results = [
        Predictor(bundle, CPU, PredictionOptions(batch_size=size), events.append).segment(volume).voxels
        for size in (8, 8, 1, 3, 100)
    ]
    assert len(np.unique(results[0])) > 1
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_one_predictor_segments_many_volumes(with_network: WithNetwork, oblique: MakeGeometry) -> None:
    predictor = with_network(Bright(1.0))
    for shape in ((9, 32, 32), (4, 32, 32), (9, 32, 32)):
        volume, ball = scene(oblique(shape))
        np.testing.assert_array_equal(predictor.segment(volume).voxels, ball)


# what is reported


def test_progress_rises_from_nothing_to_everything(
    with_network: WithNetwork, oblique: MakeGeometry, events: list[Event]
) -> None:
    options = PredictionOptions(batch_size=4, trust_modality=True)
    with_network(Bright(1.0), options).segment(scene(oblique((9, 32, 32)))[0])
    assert [event.fraction for event in events if isinstance(event, Progress)] == pytest.approx([0, 4 / 9, 8 / 9, 1])
    last = events[-1]
    assert isinstance(last, Progress)
    assert last.remaining_s == 0


def test_whoever_hears_the_progress_can_stop_the_work(with_network: WithNetwork, oblique: MakeGeometry) -> None:
    predictor = with_network(Bright(1.0), PredictionOptions(batch_size=1, trust_modality=True))

    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.fraction > 0.3:
            raise Cancelled("Stopped on request.")

    predictor._report = stop
    with pytest.raises(Cancelled):
        predictor.segment(scene(oblique((9, 32, 32)))[0])


# memory


@pytest.mark.parametrize(
    "error",
    [
        out_of_memory(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:40],
)
def test_batches_shrink_until_they_fit(error: Exception, events: list[Event]) -> None:
    network = Forgetful(2, error)
    probabilities = run(SliceRunner(network, CPU, 8, events.append), some_slices())
    np.testing.assert_array_equal(probabilities.argmax(axis=1), some_slices() > 0.5)
    assert network.seen == [("cpu", 7), ("cpu", 4), *[("cpu", 2)] * 3, ("cpu", 1)]
    assert events == [
        Notice("Memory ran out on cpu: going on with batches of 4."),
        Notice("Memory ran out on cpu: going on with batches of 2."),
    ]


def test_a_gpu_that_holds_no_slice_hands_over_to_the_cpu(events: list[Event]) -> None:
    network = Forgetful(99, out_of_memory())
    probabilities = run(SliceRunner(network, GPU, 3, events.append), some_slices())
    np.testing.assert_array_equal(probabilities.argmax(axis=1), some_slices() > 0.5)
    assert network.places == ["meta", "cpu"]
    assert [isinstance(event, Notice) for event in events] == [True, True]
    assert "going on on the CPU" in events[-1].message


def test_a_gpu_that_does_not_hold_the_model_hands_over_to_the_cpu(events: list[Event]) -> None:
    network = TooLarge(99, out_of_memory())
    probabilities = run(SliceRunner(network, GPU, 4, events.append), some_slices())
    np.testing.assert_array_equal(probabilities.argmax(axis=1), some_slices() > 0.5)
    assert network.seen == [("cpu", 4), ("cpu", 3)]
    assert events == [Notice("Memory ran out on meta for the model alone: going on on the CPU.")]


def test_memory_that_runs_out_halfway_loses_no_slice_and_repeats_none(events: list[Event]) -> None:
    network = Forgetful(99, out_of_memory())
    runner = SliceRunner(network, CPU, 3, events.append)
    done: list[int] = []

    def take(first: int, probabilities: np.ndarray) -> None:
        done.extend(range(first, first + len(probabilities)))
        network.most = 1

    runner.run(some_slices(), take)
    assert done == list(range(7))


def test_a_cpu_without_memory_for_one_slice_ends_with_advice(events: list[Event]) -> None:
    with pytest.raises(DeviceError, match=r"Memory ran out on the CPU with a single slice\. Close other"):
        run(SliceRunner(Forgetful(0, out_of_memory()), CPU, 4, events.append), some_slices())
    with pytest.raises(DeviceError, match="Memory ran out on the CPU with a single slice"):
        run(SliceRunner(Forgetful(0, out_of_memory()), GPU, 4, events.append), some_slices())


def test_what_is_no_lack_of_memory_is_a_bug_and_stays_one(events: list[Event]) -> None:
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(SliceRunner(Forgetful(0, RuntimeError("shapes do not match")), CPU, 4, events.append), some_slices())
    with pytest.raises(RuntimeError, match="driver"):
        SliceRunner(TooLarge(0, RuntimeError("driver too old")), GPU, 4, events.append)
    assert events == []


class Everywhere(nn.Module):
    """Finds its one organ wherever it looks."""

    def forward(self, slices: Tensor) -> Tensor:
        found = torch.ones_like(slices[:, 0], dtype=torch.long)
        return 50.0 * nn.functional.one_hot(found, 2).movedim(-1, 1).float()


def test_a_slice_that_shows_nothing_holds_no_organ() -> None:
    slices = some_slices()
    slices[2], slices[4] = -0.8, 1e-4 * slices[4]
    probabilities = run(SliceRunner(Everywhere(), CPU, 3, lambda event: None), slices)
    assert [bool((one.argmax(0) == 1).all()) for one in probabilities] == [True, True, False, True, False, True, True]
    assert np.array_equal(probabilities[[2, 4]].sum(axis=1), np.ones((2, 32, 40)))
    assert (probabilities[[2, 4], 0] == 1).all()
