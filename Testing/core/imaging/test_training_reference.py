from collections.abc import Callable

import numpy as np
import pytest

from cisfa.errors import ConfigError
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.intensity_profile import intensity_distance, intensity_quantiles, profile_of
from cisfa.imaging.organ_sides import counterparts
from cisfa.imaging.organ_volumes import whole_volumes_ml
from cisfa.imaging.organs import parse_organs
from cisfa.imaging.training_reference import QUANTILE_LEVELS, IntensityProfile, VolumeRange
from cisfa.imaging.volume import LabelMap

MakeGeometry = Callable[..., Geometry]


def case(seed: int, *, shift: float = 0.0, power: float = 1.0) -> np.ndarray:
    """Prepared slices of one case: what is dark and what is bright, with the contrast of its scanner."""
    values = np.random.default_rng(seed).gamma(2.0 + 0.05 * seed, size=(6, 60, 50)) ** power
    return ((values - values.mean()) / values.std() + shift).astype(np.float32)


# volumes


@pytest.mark.parametrize(("order", "signs"), [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, -1))])
def test_the_volume_of_an_organ_is_that_of_its_voxels_on_any_grid(
    oblique: MakeGeometry, order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    standard = np.zeros((6, 20, 25), np.uint8)
    standard[1:4, 5:9, 3:13] = 5
    label_map = LabelMap(np.ascontiguousarray(standard.transpose(order)), oblique((6, 20, 25), order, signs))
    assert whole_volumes_ml(label_map) == {5: pytest.approx(3 * 4 * 10 * 3.1 * 0.9 * 0.7 / 1000)}


@pytest.mark.parametrize("place", [np.s_[0, 5, 5], np.s_[5, 5, 5], np.s_[2, 0, 5], np.s_[2, 5, 24]])
def test_an_organ_at_the_edge_may_go_on_outside_and_is_left_out(oblique: MakeGeometry, place: tuple[int, ...]) -> None:
    voxels = np.zeros((6, 20, 25), np.uint8)
    voxels[1:4, 5:9, 3:13] = 1
    voxels[2, 15, 15] = 2
    voxels[place] = 1
    assert list(whole_volumes_ml(LabelMap(voxels, oblique((6, 20, 25))))) == [2]


def test_a_single_slice_has_no_edge_across(oblique: MakeGeometry) -> None:
    voxels = np.zeros((1, 20, 25), np.uint8)
    voxels[0, 5:9, 3:13] = 1
    assert list(whole_volumes_ml(LabelMap(voxels, oblique((1, 20, 25))))) == [1]


@pytest.mark.parametrize(("low", "median", "high"), [(0, 1, 2), (2, 1, 3), (1, 3, 2)])
def test_volumes_that_make_no_sense_are_refused(low: float, median: float, high: float) -> None:
    with pytest.raises(ConfigError, match=r"reference\.volumes_ml"):
        VolumeRange(cases=3, low_ml=low, median_ml=median, high_ml=high)


# intensities


def test_a_case_like_those_of_training_lies_about_as_far_off_as_they_do() -> None:
    profile = profile_of([intensity_quantiles(case(seed)) for seed in range(8)])
    assert profile.cases == 8
    assert intensity_distance(intensity_quantiles(case(4)), profile) < 1.5


def test_another_contrast_lies_far_off() -> None:
    profile = profile_of([intensity_quantiles(case(seed)) for seed in range(8)])
    usual = intensity_distance(intensity_quantiles(case(4)), profile)
    assert intensity_distance(intensity_quantiles(-case(4)), profile) > 4 * max(usual, 1)
    slightly, strongly = (intensity_distance(intensity_quantiles(case(4, power=p)), profile) for p in (1.3, 2.5))
    assert usual < slightly < strongly


def test_a_single_case_of_training_has_no_spread_and_still_a_profile() -> None:
    profile = profile_of([intensity_quantiles(case(0))])
    assert profile.deviations == (0.0,) * len(QUANTILE_LEVELS)
    assert intensity_distance(profile.quantiles, profile) == 0
    assert np.isfinite(intensity_distance(intensity_quantiles(case(7)), profile))


def test_quantiles_rise_and_see_every_slice() -> None:
    slices = case(0)
    slices[-1] += 100
    quantiles = intensity_quantiles(slices)
    assert list(quantiles) == sorted(quantiles)
    assert quantiles[-1] > 90


@pytest.mark.parametrize("count", [8, 10])
def test_a_profile_of_other_quantiles_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match="9 numbers"):
        IntensityProfile(cases=1, quantiles=(0.0,) * count, deviations=(0.0,) * 9)


# sides


def test_organs_on_both_sides_are_found_by_their_codes() -> None:
    organs = parse_organs("1=liver,2=left kidney,3=spleen,7=right kidney,9=something right")
    assert [(right.label, left.label) for right, left in counterparts(organs)] == [(7, 2)]
    assert counterparts(parse_organs("1=liver,2=left kidney")) == []
