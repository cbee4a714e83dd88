"""Scores of predictions on whole cases: each moves the right way on predictions that are drawn by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from cisfa.config import PreprocessingConfig
from cisfa.imaging.geometry import Geometry
from cisfa.imaging.organs import organs_from_names
from cisfa.imaging.preprocessing import Preprocessing
from cisfa.imaging.volume import LabelMap, Volume
from cisfa.training.class_balance import class_balance, organ_shares
from cisfa.training.plausibility import plausibility

ORGANS = organs_from_names({"1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"})
Slices = NDArray[np.uint8]


def abdomen() -> Slices:
    """Class indices (slices, rows, columns), columns running to the left: liver and right kidney come first."""
    classes = np.zeros((12, 40, 50), dtype=np.uint8)
    classes[3:11, 8:28, 4:26] = 1
    classes[1:8, 28:35, 8:15] = 2
    classes[2:9, 27:34, 35:42] = 3
    classes[5:10, 12:26, 38:46] = 4
    return classes


def score(classes: Slices, plane: Any = "axial") -> float:
    return plausibility([classes], ORGANS, plane)


def test_organs_in_one_piece_and_in_their_places_are_wholly_plausible() -> None:
    assert score(abdomen()) == 1


def test_scattered_islands_lower_plausibility_by_their_part_of_the_organ() -> None:
    classes = abdomen()
    spleen = int((classes == 4).sum())
    classes[0, :20, 30:32] = 4
    classes[11, 36:40, :5] = 4
    islands = int((classes == 4).sum()) - spleen
    assert score(classes) == pytest.approx((3 + spleen / (spleen + islands)) / 4)


def test_a_piece_that_hangs_together_in_another_slice_is_no_island() -> None:
    classes = abdomen()
    classes[2, 10:12, 10:12] = 1  # apart from the liver's other pixels in its own slice, below them in the next one
    assert score(classes) == 1


def test_an_organ_that_is_not_found_is_not_plausible() -> None:
    classes = abdomen()
    classes[classes == 4] = 0
    assert score(classes) == pytest.approx(3 / 4)
    assert score(np.zeros_like(classes)) == 0


def test_swapped_kidneys_are_not_plausible() -> None:
    classes = abdomen()
    swapped = np.array([0, 1, 3, 2, 4], dtype=np.uint8)[classes]
    assert score(swapped) == pytest.approx(2 / 4)


def test_kidneys_that_are_each_half_of_the_other_are_half_plausible() -> None:
    classes = abdomen()
    for place in (classes == 2, classes == 3):
        classes[place & (np.indices(classes.shape)[1] % 2 == 0)] = 2
        classes[place & (np.indices(classes.shape)[1] % 2 == 1)] = 3
    pieces = score(classes, "auto")
    sides = (score(classes) - 2 / 4) / (pieces - 2 / 4)
    assert sides == pytest.approx(0.5, abs=0.1)


def test_where_left_is_follows_from_the_plane_that_cases_are_cut_in() -> None:
    swapped = np.array([0, 1, 3, 2, 4], dtype=np.uint8)[abdomen()]
    assert score(swapped, "coronal") == pytest.approx(2 / 4)
    sagittal = np.ascontiguousarray(swapped.transpose(2, 1, 0))
    assert score(sagittal, "sagittal") == pytest.approx(2 / 4)
    assert score(np.ascontiguousarray(abdomen().transpose(2, 1, 0)), "sagittal") == 1
    assert score(swapped, "auto") == 1  # nobody knows


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("towards_left", [True, False])
def test_kidneys_of_a_volume_as_it_is_cut_for_training_are_plausible(plane: Any, towards_left: bool) -> None:
    """World coordinates are LPS: whichever way the file's axes run, the left kidney has the larger x."""
    sign = 1.0 if towards_left else -1.0
    axes = np.array([[0.05, 0.0, 1.0], [0.0, 1.0, 0.0], [sign, 0.0, -sign * 0.05]])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    geometry = Geometry.from_axes((40, 44, 48), spacing_mm=(4.0, 1.5, 1.25), axes_lps=axes)
    labels = np.zeros(geometry.shape, dtype=np.uint8)
    columns = ((6, 14), (32, 40)) if towards_left else ((32, 40), (6, 14))
    for value, (begin, end) in zip((2, 3), columns, strict=True):
        labels[12:30, 20:34, begin:end] = value
    voxels = np.random.default_rng(0).integers(50, 400, geometry.shape).astype(np.float32)
    config = PreprocessingConfig(plane=plane, size=40, crop_to_body=False)
    preprocessing = Preprocessing(config, "MR")
    cut = preprocessing.apply_to_labels(LabelMap(labels, geometry), preprocessing.apply(Volume(voxels, geometry)).frame)
    kidneys = cut.astype(np.uint8)
    assert plausibility([kidneys], ORGANS, plane) == pytest.approx(2 / 4)
    swapped = np.array([0, 1, 3, 2, 4], dtype=np.uint8)[kidneys]
    assert plausibility([swapped], ORGANS, plane) == 0


def test_plausibility_is_the_mean_over_cases() -> None:
    swapped = np.array([0, 1, 3, 2, 4], dtype=np.uint8)[abdomen()]
    assert plausibility([abdomen(), swapped], ORGANS, "axial") == pytest.approx(3 / 4)


def shares(*cases: Slices) -> Tensor:
    return organ_shares([torch.from_numpy(case) for case in cases], len(ORGANS))


def test_shares_are_those_within_a_case_so_that_a_finer_grid_weighs_no_more() -> None:
    coarse = abdomen()
    fine = coarse.repeat(3, axis=0).repeat(2, axis=2)
    other = np.where(coarse == 4, 2, coarse).astype(np.uint8)
    assert shares(fine).tolist() == pytest.approx(shares(coarse).tolist())
    assert shares(fine, other).tolist() == pytest.approx(((shares(coarse) + shares(other)) / 2).tolist())
    assert float(shares(fine, other).sum()) == pytest.approx(1)
    # a case without any organ says nothing
    assert shares(coarse, np.zeros_like(coarse)).tolist() == pytest.approx(shares(coarse).tolist())


def test_balance_is_one_for_the_shares_of_the_labels_and_zero_for_nothing() -> None:
    labelled = shares(abdomen())
    assert class_balance(labelled, labelled) == pytest.approx(1)
    assert class_balance(shares(np.zeros_like(abdomen())), labelled) == 0


@pytest.mark.parametrize("organ", [1, 2, 3, 4])
def test_an_organ_that_shrinks_lowers_balance_down_to_nothing_as_it_vanishes(organ: int) -> None:
    labelled, values = shares(abdomen()), []
    for left in (1.0, 0.5, 0.1, 0.02, 0.0):
        predicted = labelled.clone()
        predicted[organ - 1] *= left
        values.append(class_balance(predicted / predicted.sum(), labelled))
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 5
    assert values[1] > 0.8
    assert values[-2] < 0.5
    assert values[-1] == 0


def test_balance_without_a_vanished_organ_is_one_less_the_divergence_of_jensen_and_shannon() -> None:
    entropy: Callable[[Tensor], float] = lambda part: -sum(one * np.log2(one) for one in part.tolist() if one)  # noqa: E731
    predicted = torch.tensor([0.5, 0.2, 0.2, 0.1], dtype=torch.float64)
    labelled = torch.tensor([0.7, 0.1, 0.1, 0.1], dtype=torch.float64)
    expected = 1 - (entropy((predicted + labelled) / 2) - (entropy(predicted) + entropy(labelled)) / 2)
    assert class_balance(predicted, labelled) == pytest.approx(expected)
    assert class_balance(labelled, predicted) == pytest.approx(expected)


def test_an_organ_that_no_label_shows_is_not_missed_but_lowers_balance_where_it_is_found() -> None:
    labelled = torch.tensor([0.8, 0.2, 0.0, 0.0], dtype=torch.float64)
    found = torch.tensor([0.7, 0.2, 0.1, 0.0], dtype=torch.float64)
    assert class_balance(labelled, labelled) == pytest.approx(1)
    assert 0 < class_balance(found, labelled) < 0.98
