from collections.abc import Callable

import numpy as np
import pytest

from cisfa.errors import GeometryError
from cisfa.evaluation.organ_measurements import OrganMeasurement, measure_organs
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.volume import LabelMap, Volume

MakeGeometry = Callable[..., Geometry]

ORGANS = parse_organs("1=liver,5=right kidney,300=spleen")
SHAPE = (5, 40, 37)


@pytest.fixture
def measure(oblique: MakeGeometry) -> Callable[..., tuple[OrganMeasurement, ...]]:
    """Measure label values on an oblique, anisotropic grid, in a volume whose voxels are all different."""

    def run(labels: np.ndarray, dtype: str = "int16") -> tuple[OrganMeasurement, ...]:
        geometry = oblique(labels.shape)
        voxels = (np.arange(labels.size).reshape(labels.shape) - 1000).astype(dtype)
        return measure_organs(LabelMap(labels, geometry), Volume(voxels, geometry), ORGANS)

    return run


def empty(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.zeros(shape, np.uint16)


def test_volume_and_mean_are_of_the_organ_on_its_own_grid(
    measure: Callable[..., tuple[OrganMeasurement, ...]],
) -> None:
    labels = empty()
    labels[1:3, 5:9, 10:13] = 1
    labels[2, 20, 20:22] = 300
    liver, kidney, spleen = measure(labels)
    assert [liver.organ, kidney.organ, spleen.organ] == list(ORGANS)
    assert (liver.voxels, spleen.voxels) == (24, 2)
    assert liver.volume_ml == pytest.approx(24 * 3.1 * 0.9 * 0.7 / 1000)
    numbers = np.arange(labels.size).reshape(SHAPE) - 1000
    assert liver.mean_intensity == pytest.approx(numbers[labels == 1].mean())
    assert spleen.mean_intensity == pytest.approx(numbers[2, 20, 20] + 0.5)


def test_an_organ_that_was_not_found_is_measured_as_empty(
    measure: Callable[..., tuple[OrganMeasurement, ...]],
) -> None:
    for found in measure(empty()):
        assert (found.voxels, found.volume_ml, found.mean_intensity) == (0, 0.0, None)
        assert (found.components, found.largest_component_fraction, found.touches_edge) == (0, None, False)


def test_parts_that_touch_at_a_corner_are_one(measure: Callable[..., tuple[OrganMeasurement, ...]]) -> None:
    labels = empty()
    labels[1, 5, 5] = labels[2, 6, 6] = labels[3, 7, 5] = 1
    labels[1, 5, 8] = labels[3, 20, 20] = 5
    liver, kidney, _ = measure(labels)
    assert (liver.components, liver.largest_component_fraction) == (1, 1.0)
    assert (kidney.components, kidney.largest_component_fraction) == (2, 0.5)


def test_the_largest_part_is_a_fraction_of_the_whole(measure: Callable[..., tuple[OrganMeasurement, ...]]) -> None:
    labels = empty()
    labels[2, 10:13, 10] = labels[2, 20, 30] = labels[1:3, 30:32, 5] = 1
    liver = measure(labels)[0]
    assert (liver.components, liver.largest_component_fraction) == (3, 0.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, -1])
def test_an_organ_touches_the_edge_with_a_single_voxel(
    measure: Callable[..., tuple[OrganMeasurement, ...]], axis: int, end: int
) -> None:
    labels = empty()
    labels[1:4, 1:39, 1:36] = 1
    assert not measure(labels)[0].touches_edge
    place = [2, 20, 18]
    place[axis] = end
    labels[tuple(place)] = 1
    liver, kidney, _ = measure(labels)
    assert liver.touches_edge
    assert not kidney.touches_edge


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_has_no_edge_through_itself(
    measure: Callable[..., tuple[OrganMeasurement, ...]], axis: int
) -> None:
    shape = [9, 11, 13]
    shape[axis] = 1
    labels = empty((shape[0], shape[1], shape[2]))
    middle = tuple(0 if count == 1 else count // 2 for count in shape)
    labels[middle] = 1
    assert not measure(labels)[0].touches_edge
    labels[0, 0, 0] = 1
    assert measure(labels)[0].touches_edge


def test_a_single_voxel_is_a_volume_too(measure: Callable[..., tuple[OrganMeasurement, ...]]) -> None:
    liver = measure(np.ones((1, 1, 1), np.uint16))[0]
    assert (liver.voxels, liver.components, liver.touches_edge) == (1, 1, False)


@pytest.mark.parametrize(("dtype", "value"), [("int16", 30000), ("float32", 16777217.0), ("uint8", 250)])
def test_a_large_organ_does_not_overflow(oblique: MakeGeometry, dtype: str, value: float) -> None:
    geometry = oblique((20, 60, 60))
    volume = Volume(np.full(geometry.shape, value, dtype), geometry)
    found = measure_organs(LabelMap(np.ones(geometry.shape, np.uint8), geometry), volume, ORGANS[:1])
    assert found[0].mean_intensity == float(np.array(value, dtype))


def test_a_volume_on_another_grid_is_refused(oblique: MakeGeometry) -> None:
    labels, elsewhere = LabelMap(empty(), oblique(SHAPE)), oblique(SHAPE, signs=(-1, 1, 1))
    with pytest.raises(GeometryError, match="lie at different places"):
        measure_organs(labels, Volume(np.zeros(SHAPE, np.int16), elsewhere), ORGANS)
